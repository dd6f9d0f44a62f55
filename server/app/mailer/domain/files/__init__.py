"""Which files a letter gets, and the mix-ups among them."""
