"""One way a file of turning controllers into classes and back; ``dataset.codecs.registry`` names them."""
