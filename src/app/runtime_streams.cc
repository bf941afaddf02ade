#include "app/runtime_streams.h"

#include <cerrno>
#include <utility>

namespace shoal::app {
namespace {

/// A window of the longest commands for the session; one command at a time for the others.
reactor::ClientStream::Options sizes_of(haproxy::Stream stream) {
  reactor::ClientStream::Options options;
  if (stream == haproxy::Stream::kMain) return options;
  options.write_buffer_bytes = 8 * 1024;
  options.read_buffer_bytes = 16 * 1024;
  return options;
}

}  // namespace

/// One connection. What became of a connect is told in the next turn, since the core must not be called while its
/// effects are carried out.
class RuntimeStreams::Line final : public reactor::ClientStreamHandler {
 public:
  Line(RuntimeStreams& owner, std::size_t proxy, haproxy::Stream which)
      : owner_(owner), proxy_(proxy), which_(which), stream_(owner.loop_, *this, sizes_of(which)) {}

  void close() {
    state_ = State::kClosed;
    stream_.close();
  }

  /// Goes on with the connection of another line, if that is still whole.
  void take_over(Line& from) {
    const bool is_whole = from.state_ == State::kConnected && from.stream_.is_open() && from.stream_.unsent() == 0;
    state_ = State::kConnected;
    if (!is_whole || !stream_.take_over(from.stream_).ok()) {
      state_ = State::kBroken;
      owner_.loop_.post([this] { tell(); });
    }
    from.close();
  }

  void carry_out(haproxy::SessionOutbox& out) {
    if (out.wants_connect(which_)) connect();
    const Bytes bytes = out.to_write(which_);
    // A HAProxy that far behind is as good as gone; and with a part of the commands missing, its answers would be
    // taken for the answers to others.
    if (!bytes.empty() && stream_.is_open() && !stream_.write(bytes)) {
      stream_.close();
      state_ = State::kBroken;
      owner_.loop_.post([this] { tell(); });
    }
  }

 private:
  enum class State : std::uint8_t { kClosed, kConnecting, kConnected, kFailed, kTaken, kBroken };

  void connect() {
    Proxy& proxy = owner_.proxies_[proxy_];
    if (!proxy.lock.try_lock()) {
      state_ = State::kTaken;
      why_ = "another sidecar drives this socket: " + proxy.lock.holder();
      return owner_.loop_.post([this] { tell(); });
    }
    const config::RuntimeSocket& socket = *proxy.socket;
    using Kind = config::RuntimeSocket::Kind;
    const Result<void> begun = socket.kind == Kind::kTcp ? stream_.connect(socket.place)
                                                         : stream_.connect(socket.name, socket.kind == Kind::kAbstract);
    state_ = State::kConnecting;
    if (!begun.ok()) {
      state_ = State::kFailed;
      why_ = begun.error().message;
    } else if (socket.kind == Kind::kTcp) {
      return;  // on_opened or on_closed.
    }
    owner_.loop_.post([this] { tell(); });
  }

  void tell() {
    switch (state_) {
      case State::kClosed:
      case State::kConnected: return;  // Told already, or not wanted any more.
      case State::kConnecting: state_ = State::kConnected; return owner_.handler_.on_runtime_connected(proxy_, which_);
      case State::kFailed:
      case State::kTaken: {
        const bool is_taken = std::exchange(state_, State::kClosed) == State::kTaken;
        return owner_.handler_.on_runtime_failed(proxy_, which_, why_, is_taken);
      }
      case State::kBroken: state_ = State::kClosed; return owner_.handler_.on_runtime_closed(proxy_, which_);
    }
  }

  void on_opened() override { tell(); }
  void on_bytes(Bytes bytes) override { owner_.handler_.on_runtime_bytes(proxy_, which_, bytes); }
  void on_closed(const Error& why) override {
    if (state_ == State::kConnecting) {
      state_ = State::kFailed;
      why_ = why.message;
    } else {
      state_ = State::kBroken;
    }
    tell();
  }

  RuntimeStreams& owner_;
  const std::size_t proxy_;
  const haproxy::Stream which_;
  reactor::ClientStream stream_;
  State state_ = State::kClosed;
  std::string why_;
};

RuntimeStreams::RuntimeStreams(reactor::Loop& loop, const std::vector<config::RuntimeSocket>& sockets,
                               const std::string& me, RuntimeStreamsHandler& handler)
    : loop_(loop), handler_(handler) {
  proxies_.reserve(sockets.size());
  for (const config::RuntimeSocket& socket : sockets) {
    const std::string path = socket.kind == config::RuntimeSocket::Kind::kPath ? socket.name : std::string();
    Proxy& proxy = proxies_.emplace_back(Proxy{&socket, reactor::SocketLock(path, socket.text, me), {}});
    for (std::size_t i = 0; i < haproxy::kStreams; ++i) {
      proxy.lines[i] = std::make_unique<Line>(*this, proxies_.size() - 1, static_cast<haproxy::Stream>(i));
    }
  }
}

RuntimeStreams::~RuntimeStreams() = default;

void RuntimeStreams::carry_out(std::size_t proxy, haproxy::SessionOutbox& out) {
  auto& lines = proxies_[proxy].lines;
  const auto line_of = [&](haproxy::Stream stream) -> Line& { return *lines[static_cast<std::size_t>(stream)]; };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (out.wants_close(static_cast<haproxy::Stream>(i))) lines[i]->close();
  }
  if (const auto old = out.hands_over()) line_of(*old).take_over(line_of(haproxy::Stream::kMain));
  for (const auto& line : lines) line->carry_out(out);
}

}  // namespace shoal::app
