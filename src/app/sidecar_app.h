// `shoal sidecar`: a member of the cluster that drives one HAProxy.
#pragma once

#include "config/config.h"

namespace shoal::app {

/// Runs until asked to stop. Gives the exit code.
[[nodiscard]] int run_sidecar(const config::Config& config);

}  // namespace shoal::app
