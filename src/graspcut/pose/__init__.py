"""Hand parts and joints: the semi- and weakly-supervised system of Neverova et al. (2017). See docs/hand-pose.md."""
