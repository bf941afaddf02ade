#include "reactor/tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

namespace {

// Reads of one stream before others get their turn.
constexpr int kReadsPerTurn = 8;
constexpr int kAcceptsPerTurn = 32;

StreamEnd end_of(int code) {
  switch (code) {
    case ECONNREFUSED: return StreamEnd::kRefused;
    case ETIMEDOUT: return StreamEnd::kTimedOut;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EACCES:
    case EPERM:
    case EADDRNOTAVAIL: return StreamEnd::kUnreachable;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED: return StreamEnd::kReset;
    default: return StreamEnd::kFailed;
  }
}

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

std::string_view to_text(StreamEnd end) {
  switch (end) {
    case StreamEnd::kRefused: return "refused";
    case StreamEnd::kTimedOut: return "timed out";
    case StreamEnd::kUnreachable: return "unreachable";
    case StreamEnd::kReset: return "reset by the peer";
    case StreamEnd::kFailed: return "failed";
  }
  SHOAL_UNREACHABLE();
}

TcpStream::TcpStream(StreamPool& pool, std::uint32_t index)
    : pool_(pool),
      watch_(
          pool.loop_, [](void* self, Watch::Ready ready) { static_cast<TcpStream*>(self)->on_ready(ready); }, this),
      index_(index) {}

Endpoint TcpStream::local() const { return bound_endpoint(watch_.fd()); }

void TcpStream::write(Bytes bytes) {
  SHOAL_ASSERT(is_open() && !is_writing() && !shutdown_wanted_ && !bytes.empty());
  // Sent when the loop says that there is room, so that on_written never comes inside this call.
  unsent_ = bytes;
  update_interest();
}

void TcpStream::finish_now(Bytes bytes) {
  SHOAL_ASSERT(is_open());
  for (Bytes part : {std::exchange(unsent_, {}), bytes}) {
    while (!part.empty()) {
      const ssize_t sent = ::send(watch_.fd(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent <= 0) return close();
      part = part.subspan(static_cast<std::size_t>(sent));
    }
  }
  close();
}

void TcpStream::shutdown_write() {
  if (state_ != State::kOpen || shutdown_wanted_) return;
  shutdown_wanted_ = true;
  if (!is_writing()) ::shutdown(watch_.fd(), SHUT_WR);
}

void TcpStream::pause_reading(bool paused) {
  paused_ = paused;
  if (is_open()) update_interest();
}

void TcpStream::close() {
  if (state_ != State::kConnecting && state_ != State::kOpen) return;
  watch_.close();
  unsent_ = {};
  state_ = State::kFree;
  --pool_.in_use_;
}

void TcpStream::on_ready(Watch::Ready ready) {
  if (state_ == State::kConnecting) return finish_connect();
  const std::uint64_t id = id_;
  if (ready.write && is_writing()) send_some();
  if (ready.read && id == id_ && is_open() && !peer_ended_ && !paused_) read_some();
}

void TcpStream::finish_connect() {
  int code = 0;
  socklen_t size = sizeof code;
  ::getsockopt(watch_.fd(), SOL_SOCKET, SO_ERROR, &code, &size);
  if (code != 0) return end(end_of(code));
  state_ = State::kOpen;
  update_interest();
  pool_.handler_.on_connected(*this);
}

void TcpStream::send_some() {
  while (!unsent_.empty()) {
    const ssize_t size = ::send(watch_.fd(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) end(end_of(errno));
      return;
    }
    unsent_ = unsent_.subspan(static_cast<std::size_t>(size));
  }
  unsent_ = {};
  if (shutdown_wanted_) ::shutdown(watch_.fd(), SHUT_WR);
  update_interest();
  pool_.handler_.on_written(*this);
}

void TcpStream::read_some() {
  const std::uint64_t id = id_;
  const MutableBytes buffer = pool_.read_buffer_.bytes();
  for (int i = 0; i < kReadsPerTurn && id == id_ && is_open() && !paused_; ++i) {
    const ssize_t size = ::recv(watch_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) end(end_of(errno));
      return;
    }
    if (i > 0) watch_.loop().refresh();
    if (size == 0) {
      peer_ended_ = true;
      update_interest();
      pool_.handler_.on_end(*this);
      return;
    }
    pool_.handler_.on_bytes(*this, Bytes(buffer).first(static_cast<std::size_t>(size)));
  }
}

// The slot is not handed out again before the handler has returned, so that the handler can use its index.
void TcpStream::end(StreamEnd why) {
  const bool was_open = state_ == State::kOpen;
  watch_.close();
  unsent_ = {};
  state_ = State::kEnding;
  if (was_open) {
    pool_.handler_.on_closed(*this, why);
  } else {
    pool_.handler_.on_failed(*this, why);
  }
  state_ = State::kFree;
  --pool_.in_use_;
}

void TcpStream::update_interest() { watch_.want(!peer_ended_ && !paused_, is_writing()); }

StreamPool::StreamPool(Loop& loop, StreamHandler& handler, std::uint32_t capacity)
    : loop_(loop), handler_(handler), read_buffer_(kReadBufferBytes), streams_(capacity), failed_(loop, [this] {
        report_failed();
      }) {
  for (std::uint32_t i = 0; i < capacity; ++i) streams_.push_back(std::make_unique<TcpStream>(*this, i));
}

TcpStream* StreamPool::take(const Endpoint& peer) {
  if (in_use_ == streams_.capacity()) return nullptr;
  for (const auto& stream : streams_) {
    if (!stream->is_free()) continue;
    ++in_use_;
    stream->id_ = ++last_id_;
    stream->peer_ = peer;
    stream->peer_ended_ = false;
    stream->shutdown_wanted_ = false;
    stream->paused_ = false;
    stream->connect_code_ = 0;
    return stream.get();
  }
  SHOAL_UNREACHABLE();
}

TcpStream* StreamPool::connect(const Endpoint& to) {
  TcpStream* stream = take(to);
  if (stream == nullptr) return nullptr;
  stream->state_ = TcpStream::State::kConnecting;
  const auto fail_later = [&](int code) {
    stream->watch_.close();
    stream->connect_code_ = code;
    failed_.at(loop_.now());
    return stream;
  };
  const int family = family_of(to.addr);
  const SocketAddress address = to_socket_address(to, family);
  if (address.size == 0) return fail_later(EADDRNOTAVAIL);
  OwnedFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return fail_later(errno);
  set_no_delay(fd.get());
  if (::connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) return fail_later(errno);
  if (const Result<void> opened = stream->watch_.open(std::move(fd)); !opened.ok()) {
    return fail_later(opened.error().code);
  }
  stream->watch_.want(false, true);
  return stream;
}

// Connects that failed at once are told here, so that no handler runs inside `connect`.
void StreamPool::report_failed() {
  for (const auto& stream : streams_) {
    if (stream->state_ == TcpStream::State::kConnecting && stream->connect_code_ != 0) {
      stream->end(end_of(stream->connect_code_));
    }
  }
}

bool StreamPool::adopt(OwnedFd fd, const Endpoint& peer) {
  TcpStream* stream = take(peer);
  if (stream == nullptr) return false;
  set_no_delay(fd.get());
  if (const Result<void> opened = stream->watch_.open(std::move(fd)); !opened.ok()) {
    --in_use_;
    return false;
  }
  stream->state_ = TcpStream::State::kOpen;
  stream->update_interest();
  handler_.on_accepted(*stream);
  return true;
}

TcpListener::TcpListener(Loop& loop, StreamPool& pool)
    : pool_(pool),
      watch_(
          loop, [](void* self, Watch::Ready) { static_cast<TcpListener*>(self)->on_readable(); }, this),
      retry_(loop, [this] {
        if (watch_.is_open()) watch_.want(true, false);
      }) {}

Result<Endpoint> TcpListener::listen(const Endpoint& local, int backlog, Families families) {
  Result<OwnedFd> fd = bind_socket(local, {.type = SOCK_STREAM | SOCK_NONBLOCK,
                                           .reuse_address = true,
                                           .families = families,
                                           .what = "the gossip TCP socket"});
  if (!fd.ok()) return fd.error();
  if (::listen(fd->get(), backlog) != 0) {
    return system_error(errno, "cannot listen on " + std::string(to_text(local).view()));
  }
  const Endpoint bound = bound_endpoint(fd->get());
  if (Result<void> opened = watch_.open(std::move(*fd)); !opened.ok()) return opened.error();
  watch_.want(true, false);
  return bound;
}

void TcpListener::on_readable() {
  for (int i = 0; i < kAcceptsPerTurn && watch_.is_open(); ++i) {
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    OwnedFd fd(::accept4(watch_.fd(), reinterpret_cast<sockaddr*>(&from), &from_size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.open()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        watch_.want(false, false);
        retry_.at(watch_.loop().now() + 100ms);
        return;
      }
      continue;  // That one connection has gone already.
    }
    if (i > 0) watch_.loop().refresh();
    if (pool_.adopt(std::move(fd), from_socket_address(from))) {
      ++accepted_;
    } else {
      ++refused_;
    }
  }
}

}  // namespace shoal::reactor
