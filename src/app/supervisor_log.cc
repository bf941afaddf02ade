#include "app/supervisor_log.h"

namespace shoal::app {

void log_note(Log& log, const task::Note& note, const NoteContext& context) {
  using Kind = task::Note::Kind;
  const auto line = [&](LogLevel level, std::string_view words, std::string_view key = {}) {
    if (key.empty()) return log.write(level, words, {{"elapsed_ms", note.elapsed}});
    log.write(level, words, {{key, note.number}, {"elapsed_ms", note.elapsed}});
  };
  const LogLevel if_expected = note.number != 0 && !context.stopping ? LogLevel::kWarn : LogLevel::kInfo;
  switch (note.kind) {
    case Kind::kWorkerReady: return line(LogLevel::kInfo, "worker ready");
    case Kind::kStopRequested:
      return log.info("stop requested", {{"fast", note.number != 0}, {"elapsed_ms", note.elapsed}});
    case Kind::kWorkerExited: return line(if_expected, "worker exited", "status");
    case Kind::kWorkerNotStarted: return line(LogLevel::kError, "worker not started", "exit_code");
    case Kind::kNotReadyInTime:
      return log.error("worker was not ready within worker.ready_timeout; it is stopped",
                       {{"elapsed_ms", note.elapsed}, {"advice", context.advice}, {"port", context.port}});
    case Kind::kRestartDue:
      return log.warn("the worker is started anew", {{"in_ms", note.elapsed}, {"restarts", note.number}});
    case Kind::kWithdrawn: return line(LogLevel::kInfo, "withdrawn until a worker is ready");
    case Kind::kRestartWanted: return line(LogLevel::kWarn, "the unhealthy worker is replaced");
    case Kind::kToldToEnd: return line(LogLevel::kInfo, "worker told to stop; a new one follows", "signal");
    case Kind::kEndedByForce: return line(LogLevel::kWarn, "worker did not stop in time; killed");
    case Kind::kGroupAbandoned:
      return line(LogLevel::kError, "something of the worker survives SIGKILL; going on without its end", "generation");
    case Kind::kRenewalBegun: return line(LogLevel::kInfo, "renewal: a new generation of the worker", "generation");
    case Kind::kRenewalRemembered: return line(LogLevel::kInfo, "renewal remembered until the present start is over");
    case Kind::kRenewed: return line(LogLevel::kInfo, "renewal: the new generation serves", "generation");
    case Kind::kNewNotStarted:  // The reason has been said as an error.
      return line(LogLevel::kInfo, "renewal given up; the present worker goes on", "exit_code");
    case Kind::kNewExited:
      return line(LogLevel::kError,
                  "renewal given up: the new generation exited before it served; the present worker goes on", "status");
    case Kind::kNewNotReady:
      if (context.taken_by_others > 0) {
        return log.error(
            "renewal given up: within worker.ready_timeout the present worker took every connection that shoal made to "
            "see whether the new generation accepts; it goes on. Set worker.ready to notify (READY=1) or delay:SECONDS",
            {{"generation", note.number}, {"tries", context.taken_by_others}, {"elapsed_ms", note.elapsed}});
      }
      return line(LogLevel::kError,
                  "renewal given up: the new generation was not ready within worker.ready_timeout; the present worker "
                  "goes on",
                  "generation");
    case Kind::kNewTakesOver:
      return line(LogLevel::kWarn, "the worker ended during its renewal; the new generation takes over", "generation");
    case Kind::kOldTold: return line(LogLevel::kInfo, "a generation of the worker is told to stop", "signal");
    case Kind::kOldKilled:
      return line(LogLevel::kWarn, "a generation of the worker did not stop in time; killed", "generation");
    case Kind::kOldExited: return line(LogLevel::kInfo, "a generation of the worker exited", "status");
    case Kind::kOldGone: return line(LogLevel::kInfo, "a generation of the worker is gone", "generation");
    case Kind::kDrained: return line(LogLevel::kInfo, "drained");
    case Kind::kDrainedWithoutConfirmation:
      return line(LogLevel::kInfo, "departed; not every sidecar confirmed the drain");
    case Kind::kDrainCutShort:
      return log.warn("drain cut short; requests may still be in flight", {{"in_flight", context.in_flight},
                                                                           {"sidecars_silent", context.sidecars_silent},
                                                                           {"elapsed_ms", note.elapsed}});
    case Kind::kStopSignalSent: return line(LogLevel::kInfo, "worker told to stop", "signal");
    case Kind::kWorkerKilled: return line(LogLevel::kWarn, "worker did not stop in time; killed");
    case Kind::kLeft: return line(LogLevel::kInfo, "left the cluster");
    case Kind::kLeaveCutShort: return line(LogLevel::kWarn, "leave cut short; peers will find out by themselves");
    case Kind::kWorkerAbandoned: return line(LogLevel::kError, "worker survived SIGKILL until the end of the budget");
    case Kind::kUnexpected: return line(LogLevel::kError, "bug: an event that this state rules out", "state_event");
  }
}

}  // namespace shoal::app
