"""Code that tests share: builders of values and files, fakes of the ports, private servers."""
