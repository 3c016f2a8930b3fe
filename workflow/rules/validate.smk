# What a reviewer would ask: satellite, stations, time of day, dynamics, uncertainty, triple collocation.
