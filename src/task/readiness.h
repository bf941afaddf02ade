// When is the worker ready? By default without its help: the shell connects once to the worker's own listener and the
// accept queue's length is read until the worker has taken that connection (on a listening socket TCP_INFO tells the
// length in tcpi_unacked and the limit in tcpi_sacked). A plain connect proves nothing in `pass` mode: the kernel
// accepts for a worker that is not there yet.
//
// With TCP_DEFER_ACCEPT on the socket the queue reads 0 although nobody has accepted, as long as the client is silent:
// then one byte is sent first.
//
// The queue is first in, first out, so an empty one means that our connection was taken, whoever else had connected.
// Two empty readings in a row are asked for, unless the queue was seen filled: the kernel may put a connection into
// the queue a moment after the client believes in it.
//
// A worker that is not ready after some seconds may be waiting at the wrong door: NotReadyYet asks the shell to look
// where the worker does listen, and to say what to set.
//
// In a renewal the old worker accepts on the same listener. Then the socket at the other end of the probe's connection
// has to be found among those of the new worker's processes; else the probe is made anew. A GET is sent on a connection
// that is known to be the new worker's.
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

enum class ReadyMode : std::uint8_t {
  kAuto,    // The first of READY=1 and the worker accepting.
  kNotify,  // READY=1 alone.
  kHttp,    // A GET is answered with 2xx or 3xx. In `pass` mode too: the kernel answers nothing for a dead worker.
  kTcp,     // A connection succeeds. Only means something where the worker binds the port itself.
  kDelay,   // A fixed time after its start.
};

enum class ReadyBy : std::uint8_t { kNotify, kAcceptQueue, kHttp, kConnect, kDelay };
[[nodiscard]] std::string_view to_text(ReadyBy by);

/// Connect to the worker's own listener and keep the connection open; the result comes as on_connected or
/// on_connect_failed.
struct ProbeConnect {};
/// Connect to it anew and GET the path that readiness asks for; the result comes as on_http_answer or
/// on_connect_failed.
struct ProbeHttp {};
/// Read the queue; the result comes as on_reading.
struct ReadQueue {};
/// Who has accepted the probe's connection? The answer comes as on_owner. Only beside another worker.
struct AskOwner {};
/// The GET on the probe's connection, which this worker has; the result comes as with ProbeHttp.
struct SendProbeRequest {};
/// One byte on the probe's connection: the kernel keeps a silent one back.
struct SendProbeByte {};
/// The probe's connection is not needed any more.
struct CloseProbe {};
struct WorkerReady {
  ReadyBy by = ReadyBy::kNotify;
};
/// It takes long. Told at growing distances, until it is ready or given up.
struct NotReadyYet {
  Duration elapsed{};   // Since its start.
  int http_status = 0;  // The last answer to ProbeHttp; 0 = none.
};
using ReadinessEffect = std::variant<ProbeConnect, ProbeHttp, ReadQueue, AskOwner, SendProbeRequest, SendProbeByte,
                                     CloseProbe, WorkerReady, NotReadyYet>;

/// Who has the other end of the probe's connection.
enum class Owner : std::uint8_t {
  kNobodyYet,
  kThisWorker,
  kAnother,
  kUnknown,  // Not to be found out, or it is closed already.
};

class ReadinessOutbox {
 public:
  static constexpr std::size_t kEffectsMax = 4;
  [[nodiscard]] const ReadinessEffect* begin() const { return effects_.begin(); }
  [[nodiscard]] const ReadinessEffect* end() const { return effects_.end(); }
  [[nodiscard]] std::size_t size() const { return effects_.size(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() { effects_.clear(); }
  void add(const ReadinessEffect& effect) { effects_.push_back(effect); }

 private:
  InlineVector<ReadinessEffect, kEffectsMax> effects_;
};

/// Tells WorkerReady once for each watch. How long that may take is the supervisor's ready_timeout.
class Readiness final {
 public:
  struct Options {
    ReadyMode mode = ReadyMode::kAuto;
    bool socket_is_passed = true;  // The worker inherits the listener. Else it binds the port itself: then kAuto
                                   // judges like kTcp, for nobody but the worker can accept there.
    Duration delay = 1s;           // kDelay only.
    Duration look_after = 5s;      // Until the first NotReadyYet, then doubling; 0 = never. Not with kDelay.
  };

  Readiness(const Options& options, Rng rng, Instant now) : options_(options), rng_(rng), now_(now) {}

  /// Begins, or begins anew with another worker. `beside_another`: a worker that is ready accepts on the same listener,
  /// so a connection counts only where this one has accepted it.
  void on_worker_started(Instant now, ReadinessOutbox& out, bool beside_another = false);
  void on_notify_ready(Instant now, ReadinessOutbox& out);  // READY=1
  void on_connected(Instant now, ReadinessOutbox& out);
  /// With kHttp: the final status of the answer.
  void on_http_answer(Instant now, int status, ReadinessOutbox& out);
  /// Also when an answer is none, and when an established probe was closed by the other side: a worker that took it and
  /// hung up has accepted.
  void on_connect_failed(Instant now, ReadinessOutbox& out);
  void on_reading(Instant now, const QueueReading& reading, ReadinessOutbox& out);
  /// `defer_accept`: the listener has TCP_DEFER_ACCEPT.
  void on_owner(Instant now, Owner owner, bool defer_accept, ReadinessOutbox& out);
  void on_deadline(Instant now, ReadinessOutbox& out);
  /// The worker died or is being stopped: nothing more is asked or told.
  void stop(Instant now, ReadinessOutbox& out);

  [[nodiscard]] Instant next_deadline() const { return earlier(next_, look_at_); }
  /// Of the present watch: connections that another worker took, or nobody knows who.
  [[nodiscard]] std::uint32_t taken_by_others() const { return taken_by_others_; }
  [[nodiscard]] bool is_watching() const { return phase_ != Phase::kOff; }

 private:
  enum class Phase : std::uint8_t {
    kOff,
    kWaiting,     // For READY=1, or for the delay's end.
    kConnecting,  // The probe has been asked for; with kHttp: its answer is waited for.
    kRetryPause,  // It failed; once more at next_.
    kReading,     // Connected; the queue is read, or the owner asked for, again at next_.
  };

  void ready(ReadyBy by, ReadinessOutbox& out);
  void look(Instant now, ReadinessOutbox& out);
  void connect(ReadinessOutbox& out);
  void read_later(Instant now);
  void read(ReadinessOutbox& out);
  [[nodiscard]] bool connect_is_proof() const;
  void tick(Instant now, const ReadinessOutbox& out);

  Options options_;
  Rng rng_;
  Instant now_;
  Phase phase_ = Phase::kOff;
  Instant next_ = kNever;
  Instant look_at_ = kNever;
  Duration look_wait_{};
  Instant started_{};
  int http_status_ = 0;
  Duration pause_{};
  bool beside_another_ = false;
  std::uint32_t taken_by_others_ = 0;
  bool seen_filled_ = false;
  bool byte_sent_ = false;
  std::uint32_t empty_readings_ = 0;
};

}  // namespace shoal::task
