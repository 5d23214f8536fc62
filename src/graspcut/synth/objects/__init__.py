"""Things that hands hold and that lie around, as signed distances."""
