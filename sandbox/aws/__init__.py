"""The embedded AWS: ministack and moto as one endpoint, with what both lack and the collection's roles need."""
