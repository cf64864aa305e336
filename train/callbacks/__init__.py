"""What watches a training: progress, pages, logs."""
