// `shoal sidecar -- haproxy ...`: the small parent of HAProxy and of the sidecar.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace shoal::app {

/// The first argument of the sidecar that the parent starts: the same program with the same arguments behind it, which
/// then supervises nothing.
inline constexpr const char* kSupervisedMark = "--supervised";

/// Runs until asked to stop. Gives the exit code. `arguments`: our own, without the program's name.
[[nodiscard]] int run_supervised(const config::Config& config, const std::vector<std::string>& arguments);

}  // namespace shoal::app
