"""Hand and held object in a depth frame: networks, losses, metrics, training data, prediction."""
