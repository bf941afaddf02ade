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
  /// What waits in the sink has its last chance.
  ~ProcessLog() { static_cast<void>(sink_.flush_within(kLastWords)); }
  ProcessLog(const ProcessLog&) = delete;
  ProcessLog& operator=(const ProcessLog&) = delete;
  [[nodiscard]] Log& log() { return log_; }
  [[nodiscard]] reactor::LogSink& sink() { return sink_; }

 private:
  static constexpr Duration kLastWords = 200ms;

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
