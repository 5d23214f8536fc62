"""What stands where in front of the camera."""
