// The supervisor's notes as lines of the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/log.h"
#include "task/supervisor_effects.h"

namespace shoal::app {

struct NoteContext {
  bool stopping = false;              // A stop was asked for, so that the worker's end is no surprise.
  std::string_view advice;            // For a worker that was not ready in time.
  std::uint16_t port = 0;             // The service's.
  std::uint32_t taken_by_others = 0;  // Connections to the new generation that another one took.
  std::uint64_t in_flight = 0;        // What a drain that is cut short leaves behind, and how many sidecars have not
  std::size_t sidecars_silent = 0;    // said anything of it.
};

void log_note(Log& log, const task::Note& note, const NoteContext& context);

}  // namespace shoal::app
