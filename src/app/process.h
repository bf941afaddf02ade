// What both roles need of the process: a log on stderr, and the stop.
#pragma once

#include "base/log.h"
#include "config/config.h"
#include "reactor/system.h"

namespace shoal::app {

inline constexpr int kExitOk = 0;
inline constexpr int kExitUnavailable = 69;

/// stderr as the operator asked for it.
class ProcessLog {
 public:
  explicit ProcessLog(const config::LogSettings& settings)
      : sink_(2),
        log_(settings.level, format_of(settings.format), &reactor::LogSink::write, &sink_, &reactor::wall_clock_ms) {}
  [[nodiscard]] Log& log() { return log_; }

 private:
  static LogFormat format_of(config::LogFormatChoice choice) {
    switch (choice) {
      case config::LogFormatChoice::kAuto: return reactor::is_terminal(2) ? LogFormat::kText : LogFormat::kJson;
      case config::LogFormatChoice::kText: return LogFormat::kText;
      case config::LogFormatChoice::kJson: return LogFormat::kJson;
    }
    SHOAL_UNREACHABLE();
  }
  reactor::LogSink sink_;
  Log log_;
};

}  // namespace shoal::app
