"""Files of frames: one file for each kind of container, and `depth_file.py` that tells them apart."""
