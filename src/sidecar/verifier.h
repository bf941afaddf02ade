// Connects once to a service's place before HAProxy is told of it: at most so many at a time, the rest in a queue, and
// again after a failure with back-off. What was reached once is not asked again for the same node, start and place.
#pragma once

#include <cstdint>

#include "base/containers.h"
#include "base/rng.h"
#include "base/time.h"
#include "sidecar/outbox.h"
#include "sidecar/registry.h"

namespace shoal::sidecar {

struct VerifierOptions {
  Duration deadline = 1s;       // The shell's, for one connect.
  Duration answer_margin = 1s;  // A result that is later than both counts as timed out.
  Duration backoff_min = 1s;
  Duration backoff_max = 30s;
};

class Verifier {
 public:
  Verifier(const VerifierOptions& options, std::size_t facts_max, Rng rng);

  /// Queues the fact unless it is queued, being tried, reached, or waits after a failure.
  void want(Instant now, Registry& registry, std::uint32_t fact);
  /// Starts as many as may run.
  void start(Instant now, Registry& registry, FixedVector<Verify>& out);
  /// The fact that the result is for, or kNone: an unknown id, or the fact has another start or place by now.
  std::uint32_t on_result(Instant now, Registry& registry, std::uint32_t id, VerifyResult result);
  /// A try that was never answered, as a fact that failed; kNone when there is none (any more).
  std::uint32_t on_deadline(Instant now, Registry& registry);
  [[nodiscard]] Instant next_deadline() const;

 private:
  struct Try {
    std::uint32_t id = 0;
    std::uint32_t fact = 0;
    std::uint64_t start_id = 0;
    Endpoint place;
    Instant until;
  };
  std::uint32_t finish(Instant now, Registry& registry, std::size_t index, VerifyResult result);

  VerifierOptions options_;
  Rng rng_;
  Ring<std::uint32_t> queue_;
  FixedVector<Try> tries_{Outbox::kVerifiesMax};
  std::uint32_t next_id_ = 1;
};

}  // namespace shoal::sidecar
