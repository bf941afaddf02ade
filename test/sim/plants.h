// Planted faults: what a broken node would do, done to it from outside the cores. The swarm has to find each of them;
// a swarm that does not would find nothing else either.
#pragma once

#include <span>

#include "sim/scenarios.h"

namespace shoal::test {

struct Plant {
  const char* name;
  const char* does;
  const char* found_as;  // Words of the checker that has to find it.
  void (*set)(Stage& stage);
};

[[nodiscard]] std::span<const Plant> plants();
/// nullptr = there is none of that name.
[[nodiscard]] const Plant* find_plant(std::string_view name);

}  // namespace shoal::test
