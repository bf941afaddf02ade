// Counts operator new while a Counting is alive. Link allocation_counter.cc into the one binary that uses it.
#pragma once

#include <cstdint>

namespace shoal::test {

/// Allocations since the program started, made while at least one Counting lived.
[[nodiscard]] std::uint64_t allocations();

class Counting {
 public:
  Counting();
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
};

}  // namespace shoal::test
