// Planted faults: what a broken node would do, done to it from outside the cores. The swarm has to find each of them;
// a swarm that does not would find nothing else either.
#pragma once

#include <span>

#include "sim/scenarios.h"

namespace shoal::test {

struct Plant {
  const char* name;
  const char* does;
  const char* found_as;  // Words of the checker that has to find it, alternatives divided by '|'.
  void (*set)(Stage& stage);
};

[[nodiscard]] std::span<const Plant> plants();
/// Whether this is how the plant should have been found.
[[nodiscard]] bool found(const Plant& plant, std::string_view failure);
/// nullptr = there is none of that name.
[[nodiscard]] const Plant* find_plant(std::string_view name);

}  // namespace shoal::test
