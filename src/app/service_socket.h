// The service's port, as worker.socket has it: a listener that the worker inherits, or a port that is kept for the
// worker to bind.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/endpoint.h"
#include "base/result.h"
#include "config/config.h"
#include "reactor/listener.h"

namespace shoal::app {

class ServiceSocket {
 public:
  explicit ServiceSocket(config::WorkerSocket how) : how_(how) {}

  /// Binds `local`, and listens where the worker inherits it. The error names the address and the likely fix.
  [[nodiscard]] Result<void> open(const Endpoint& local);
  [[nodiscard]] const Endpoint& bound() const { return socket_.bound; }

  /// The worker inherits the listener. Else nobody but the worker can accept there.
  [[nodiscard]] bool is_passed() const { return how_ == config::WorkerSocket::kPass; }
  /// For the worker, and for a look at the accept queue; -1 where the worker binds the port itself.
  [[nodiscard]] int listener() const { return is_passed() ? socket_.fd.get() : -1; }

  /// Right before each start of the worker: `reserve-close` lets go of the port, for a worker without SO_REUSEADDR.
  void before_worker();
  /// The worker is told to stop, or is gone: our copy of the listener is closed, so that the kernel refuses as soon as
  /// the worker's own is. A reserved port refuses by itself; it stays ours to the end, so that what HAProxy might still
  /// send there reaches nobody else.
  void stop_serving();

  /// For a worker that was not ready in time: what it should have done with the port.
  [[nodiscard]] std::string_view advice() const;

 private:
  config::WorkerSocket how_;
  reactor::ServiceListener socket_;
};

}  // namespace shoal::app
