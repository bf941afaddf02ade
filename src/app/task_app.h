// `shoal task`: the parent of one worker, which it announces to the sidecars.
#pragma once

#include "config/config.h"

namespace shoal::app {

/// Runs until the worker has ended or a stop was asked for. Gives the exit code.
[[nodiscard]] int run_task(const config::Config& config);

}  // namespace shoal::app
