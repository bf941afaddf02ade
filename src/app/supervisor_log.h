// The supervisor's notes as lines of the log.
#pragma once

#include "base/log.h"
#include "task/supervisor_effects.h"

namespace shoal::app {

/// `stopping`: a stop was asked for, so that the worker's end is no surprise. `others_accepted`: how many connections
/// of the readiness probe another generation took.
void log_note(Log& log, const task::Note& note, bool stopping, std::uint64_t others_accepted);

}  // namespace shoal::app
