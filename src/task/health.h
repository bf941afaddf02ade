// Is a ready worker still well? Looked at again and again; after `fall` failures in a row it is unhealthy and the task
// leaves rotation, the worker lives on, and after `rise` successes in a row it is healthy and the task returns. What
// unhealthy means for the worker is the supervisor's business.
//
//   http    a GET to the worker's own port is answered with 2xx or 3xx within `timeout`
//   tcp     a connection succeeds within `timeout`; only where the worker binds the port itself
//   queue   the accept queue is empty; if not, a connection of our own joins it and must be accepted: each `interval`
//           that it waits is a failure. So unhealthy means exactly that a connection waits longer than fall * interval.
//           The queue's length alone would not do: a full queue in front of a busy worker looks like one that is stuck.
//
// The next look begins an interval (with jitter) after the end of the last: never two at once, and a worker with one
// thread has that long to answer somebody else. What the shell could not even try (no descriptor left) is no failure of
// the worker's.
//
// Flapping is damped: each fall less than ten minutes after the one before doubles the successes that it needs to come
// back, up to 30. Every fall costs clients errors before it is noticed, and every change is gossip and commands to
// HAProxy; a worker that keeps falling is better out for longer than back sooner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "base/containers.h"
#include "base/rng.h"
#include "base/time.h"
#include "task/queue_gauge.h"

namespace shoal::task {

enum class HealthMode : std::uint8_t { kHttp, kTcp, kQueue };

enum class HealthFault : std::uint8_t {
  kNone,
  kRefused,      // Nobody listens.
  kNoAnswer,     // Not by the deadline.
  kBadStatus,    // An answer, but neither 2xx nor 3xx.
  kNoHttp,       // An answer that is none.
  kClosed,       // The connection ended before an answer.
  kNotAccepted,  // A connection waits in the accept queue.
};
[[nodiscard]] std::string_view to_text(HealthFault fault);

/// kHttp: GET the path on a new connection; kTcp: connect. The result comes as on_passed, on_failed, on_http_answer or
/// on_nothing_learned.
struct StartHealthProbe {};
/// Its answer does not count any more, nor does a connection in the queue.
struct EndHealthProbe {};
/// Read the accept queue; the result comes as on_reading.
struct ReadHealthQueue {};
/// A connection of our own joins the queue, and stays there until EndHealthProbe.
struct JoinQueue {};
/// Has it been accepted? The result comes as on_joined.
struct LookAtJoined {};
struct WorkerUnhealthy {
  HealthFault fault = HealthFault::kNone;
  int http_status = 0;            // With kBadStatus.
  std::uint32_t failures = 0;     // In a row.
  std::uint32_t rise_needed = 0;  // Successes in a row that will bring it back.
};
struct WorkerHealthy {
  Duration unhealthy_for{};
  std::uint32_t successes = 0;
};
using HealthEffect = std::variant<StartHealthProbe, EndHealthProbe, ReadHealthQueue, JoinQueue, LookAtJoined,
                                  WorkerUnhealthy, WorkerHealthy>;

class HealthOutbox {
 public:
  static constexpr std::size_t kEffectsMax = 4;
  [[nodiscard]] const HealthEffect* begin() const { return effects_.begin(); }
  [[nodiscard]] const HealthEffect* end() const { return effects_.end(); }
  [[nodiscard]] std::size_t size() const { return effects_.size(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() { effects_.clear(); }
  void add(const HealthEffect& effect) { effects_.push_back(effect); }

 private:
  InlineVector<HealthEffect, kEffectsMax> effects_;
};

class Health final {
 public:
  static constexpr Duration kDampedFor = 10min;
  static constexpr std::uint32_t kRiseMost = 30;  // Or `rise`, where that is more.

  struct Options {
    HealthMode mode = HealthMode::kHttp;
    Duration interval = 2s;
    Duration timeout = 1s;
    std::uint32_t rise = 2;
    std::uint32_t fall = 3;
  };
  /// What has become of the connection in the queue.
  enum class Joined : std::uint8_t {
    kWaiting,   // Not accepted, or not even in the queue because that is full.
    kAccepted,  // Also: the worker took it and has closed it.
    kUnknown,   // The kernel does not tell: a queue that got shorter, or is empty, has to do.
  };

  Health(const Options& options, Rng rng, Instant now) : options_(options), rng_(rng), now_(now) {}

  /// The worker is ready: begins, or begins anew with nothing remembered, as healthy.
  void start(Instant now, HealthOutbox& out);
  /// The worker died or is being stopped: nothing more is asked or told.
  void stop(Instant now, HealthOutbox& out);

  void on_passed(Instant now, HealthOutbox& out);
  void on_failed(Instant now, HealthFault fault, HealthOutbox& out);
  void on_http_answer(Instant now, int status, HealthOutbox& out);
  /// For lack of a descriptor, of memory, of a route: the next look may find out more.
  void on_nothing_learned(Instant now, HealthOutbox& out);
  void on_reading(Instant now, const QueueReading& reading, HealthOutbox& out);
  void on_joined(Instant now, Joined joined, const QueueReading& reading, HealthOutbox& out);
  void on_deadline(Instant now, HealthOutbox& out);

  [[nodiscard]] Instant next_deadline() const { return next_; }
  [[nodiscard]] bool is_watching() const { return phase_ != Phase::kOff; }
  /// True as well while nothing is watched.
  [[nodiscard]] bool is_healthy() const { return !unhealthy_; }
  [[nodiscard]] std::uint32_t failures() const { return failures_; }        // In a row, up to now.
  [[nodiscard]] std::uint32_t rise_needed() const { return rise_needed_; }  // While unhealthy.
  /// Of the last failure since the start; kNone where there was none.
  [[nodiscard]] HealthFault fault() const { return fault_; }
  [[nodiscard]] int http_status() const { return http_status_; }
  /// Looks in a row that could not even be tried.
  [[nodiscard]] std::uint32_t untried() const { return untried_; }

 private:
  enum class Phase : std::uint8_t {
    kOff,
    kPause,    // The next look is at next_.
    kProbing,  // The probe's deadline is next_; with kQueue, the reading is under way.
    kJoined,   // Our connection is in the queue and is looked at again at next_.
  };

  void tick(Instant now, const HealthOutbox& out);
  void pause(Instant now);
  void passed(Instant now, HealthOutbox& out);
  void failed(Instant now, HealthFault fault, HealthOutbox& out);

  Options options_;
  Rng rng_;
  Instant now_;
  Phase phase_ = Phase::kOff;
  Instant next_ = kNever;
  bool unhealthy_ = false;
  Instant unhealthy_since_{};
  bool has_fallen_ = false;  // Since the start; last_fall_ is good.
  Instant last_fall_{};
  std::uint32_t rise_needed_ = 0;
  std::uint32_t failures_ = 0;
  std::uint32_t successes_ = 0;
  std::uint32_t untried_ = 0;
  HealthFault fault_ = HealthFault::kNone;
  int http_status_ = 0;
  Instant counts_at_{};           // kJoined: waiting until then is the next failure.
  std::uint32_t last_depth_ = 0;  // kJoined.
};

}  // namespace shoal::task
