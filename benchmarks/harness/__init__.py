"""What benchmarks share: processes, servers, samples, figures."""
