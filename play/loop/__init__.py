"""The runners: frames in, controllers out."""
