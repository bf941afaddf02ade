// The connections to HAProxy's runtime sockets: carries out what the sidecar's core wants of them and brings back what
// comes. Connecting fails while another sidecar drives the socket; the core tries again for ever, and so takes it over
// when that one has gone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "haproxy/runtime_session.h"
#include "reactor/client_stream.h"
#include "reactor/socket_lock.h"

namespace shoal::app {

enum class RuntimeFailure : std::uint8_t {
  kOther,
  kNobody,  // No such socket, or nobody listens there.
  kTaken,   // Another sidecar drives the socket.
};

/// Never called inside RuntimeStreams::carry_out.
class RuntimeStreamsHandler {
 public:
  virtual void on_runtime_connected(std::size_t proxy, haproxy::Stream stream) = 0;
  virtual void on_runtime_failed(std::size_t proxy, haproxy::Stream stream, const std::string& why,
                                 RuntimeFailure failure) = 0;
  virtual void on_runtime_bytes(std::size_t proxy, haproxy::Stream stream, Bytes bytes) = 0;
  virtual void on_runtime_closed(std::size_t proxy, haproxy::Stream stream) = 0;

 protected:
  ~RuntimeStreamsHandler() = default;
};

class RuntimeStreams {
 public:
  /// `sockets` and the handler must outlive it. `me`: what another sidecar is told of this one.
  RuntimeStreams(reactor::Loop& loop, const std::vector<config::RuntimeSocket>& sockets, const std::string& me,
                 RuntimeStreamsHandler& handler);

  ~RuntimeStreams();
  RuntimeStreams(const RuntimeStreams&) = delete;
  RuntimeStreams& operator=(const RuntimeStreams&) = delete;

  void carry_out(std::size_t proxy, haproxy::SessionOutbox& out);

 private:
  class Line;
  struct Proxy {
    const config::RuntimeSocket* socket = nullptr;
    reactor::SocketLock lock;
    std::array<std::unique_ptr<Line>, haproxy::kStreams> lines;
  };

  reactor::Loop& loop_;
  RuntimeStreamsHandler& handler_;
  std::vector<Proxy> proxies_;
};

}  // namespace shoal::app
