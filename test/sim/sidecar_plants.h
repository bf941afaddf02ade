// Faults that are planted into the sidecar's runs, each of which the swarm has to find: proof that the checkers look.
#pragma once

#include <span>
#include <string_view>

#include "sim/sidecar_world.h"

namespace shoal::test {

struct SidecarPlant {
  const char* name;
  const char* does;
  const char* found_as;                           // Part of the failure's text; several are divided by '|'.
  void (*change_options)(WorldOptions& options);  // May be null.
  void (*put)(World& world);                      // May be null.
};

[[nodiscard]] std::span<const SidecarPlant> sidecar_plants();
[[nodiscard]] const SidecarPlant* find_sidecar_plant(std::string_view name);
[[nodiscard]] bool found(const SidecarPlant& plant, std::string_view failure);

}  // namespace shoal::test
