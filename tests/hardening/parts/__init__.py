"""What is attacked: a part of exphil per file."""
