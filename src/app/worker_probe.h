// One connection at a time to the worker's own port, for readiness and for health: a plain one, or a GET whose status
// is wanted. Deadlines are the caller's: `end` ends whatever is under way.
#pragma once

#include <functional>
#include <string>

#include "base/http_status.h"
#include "reactor/accepted.h"
#include "reactor/tcp_stream.h"

namespace shoal::app {

class WorkerProbe final : private reactor::StreamHandler {
 public:
  enum class Result : std::uint8_t {
    kConnected,  // A plain connection stands; it stays until `end`.
    kAnswered,   // The GET's final status.
    kNoHttp,     // An answer that is none.
    kRefused,    // Nobody listens.
    kClosed,     // The other side closed it. A worker that did so has accepted it.
    kTimedOut,   // The kernel gave up.
    kNotTried,   // No descriptor, no route: it says nothing about the worker.
  };
  /// `status`: with kAnswered. May begin the next probe.
  using Handler = std::function<void(Result result, int status)>;

  /// `path`: of the GETs; empty where there are none.
  WorkerProbe(reactor::Loop& loop, std::string path, Handler handler);

  /// Where the worker listens; of an address that stands for all of them, the loopback one is taken.
  void aim(const Endpoint& listener);
  /// What was under way is ended. The result never comes inside these calls.
  void connect();
  void get();
  /// On a plain connection that stands: for a kernel that keeps silent ones back (TCP_DEFER_ACCEPT).
  void send_byte();
  /// On a plain connection that stands: the GET after all; its result follows.
  void send_request();
  /// On a plain connection: nothing more will be sent. The worker finds it at its end as soon as it reads, and closes
  /// it.
  void finish();
  void end();

  /// Of the plain connection: what the kernel says, or that the worker took it and has closed it.
  [[nodiscard]] reactor::Accepted accepted() const { return accepted_socket().state; }
  [[nodiscard]] reactor::AcceptedSocket accepted_socket() const;

 private:
  void on_accepted(reactor::TcpStream& stream) override { stream.close(); }
  void on_connected(reactor::TcpStream& stream) override;
  void on_failed(reactor::TcpStream& stream, reactor::StreamEnd why) override;
  void on_bytes(reactor::TcpStream& stream, Bytes bytes) override;
  void on_end(reactor::TcpStream& stream) override;
  void on_written(reactor::TcpStream&) override {}
  void on_closed(reactor::TcpStream& stream, reactor::StreamEnd why) override;

  void begin(bool with_request);
  void close();
  void tell(Result result, int status = 0);

  reactor::Loop& loop_;
  std::string path_;
  Handler handler_;
  reactor::StreamPool pool_;
  reactor::TcpStream* stream_ = nullptr;
  reactor::Timer linger_;
  Endpoint target_;
  std::string request_;
  HttpStatusReader reader_;
  bool with_request_ = false;
  bool told_ = false;  // The GET's result; what still comes is read and forgotten.
  bool was_taken_ = false;
  std::size_t lingered_ = 0;
};

}  // namespace shoal::app
