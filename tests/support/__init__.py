"""What tests share: builders of values and files, fakes of the ports, private instances of real servers."""
