#include "reactor/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "reactor/client_stream.h"
#include "reactor/socket_address.h"
#include "reactor/unix_address.h"

namespace shoal::reactor {

namespace {

constexpr int kReadsPerTurn = 8;
constexpr int kBacklog = 16;
constexpr std::size_t kReadBufferBytes = 16 * 1024;

bool is_abstract(const std::string& name) { return !name.empty() && name[0] == '@'; }

const char* advice(int code, bool abstract) {
  switch (code) {
    case EADDRINUSE:
      return abstract ? "; another process has this name: choose another control.socket"
                      : "; another process answers there: choose another control.socket";
    case ENOENT: return "; its directory does not exist: make it, or choose another control.socket";
    case EACCES:
    case EPERM: return "; this user may not make a file there: choose another control.socket";
    case EROFS: return "; the file system is read-only: choose another control.socket, such as @shoal";
    case EEXIST: return "; something that is no socket is in its place: remove it, or choose another control.socket";
    default: return "";
  }
}

/// Whether anybody listens behind the file. A queue that is full is somebody's too.
bool is_answered(const UnixAddress& address) {
  const OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return true;
  return ::connect(fd.get(), address.get(), address.size) == 0 || errno != ECONNREFUSED;
}

/// Binds; a socket's file behind which nobody is gets out of the way first. 0 or errno.
int bind_unix(int fd, const std::string& name, const UnixAddress& address) {
  if (::bind(fd, address.get(), address.size) == 0) return 0;
  if (errno != EADDRINUSE || is_abstract(name)) return errno;
  struct stat info {};
  if (::lstat(name.c_str(), &info) != 0) return EADDRINUSE;
  if (!S_ISSOCK(info.st_mode)) return EEXIST;
  if (is_answered(address)) return EADDRINUSE;
  if (::unlink(name.c_str()) != 0) return errno;
  return ::bind(fd, address.get(), address.size) == 0 ? 0 : errno;
}

}  // namespace

UnixConnection::UnixConnection(UnixListener& listener, std::uint32_t index)
    : listener_(listener),
      watch_(
          listener.loop_, [](void* self, Watch::Ready ready) { static_cast<UnixConnection*>(self)->on_ready(ready); },
          this),
      index_(index) {}

void UnixConnection::finish(std::string bytes) {
  SHOAL_ASSERT(is_open() && !finishing_);
  finishing_ = true;
  unsent_ = std::move(bytes);
  sent_ = 0;
  progress();
  // Written when the loop says that there is room, so that nothing closes inside this call.
  watch_.want(true, true);
}

void UnixConnection::close() {
  if (!is_open()) return;
  watch_.close();
  unsent_ = {};
  finishing_ = false;
  deadline_ = kNever;
  listener_.freed();
}

void UnixConnection::wait_until(Instant deadline) {
  deadline_ = deadline;
  listener_.arm();
}

void UnixConnection::progress() { wait_until(watch_.loop().now() + UnixListener::kIdleMost); }

void UnixConnection::on_ready(Watch::Ready ready) {
  const std::uint64_t id = id_;
  if (ready.write && finishing_) write_some();
  if (ready.read && is_open() && id == id_) read_some();
}

void UnixConnection::write_some() {
  while (sent_ < unsent_.size()) {
    const ssize_t size =
        ::send(watch_.fd(), unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) close();
      return;
    }
    sent_ += static_cast<std::size_t>(size);
    progress();
  }
  // The peer may still be sending what nobody wants any more: it is read until its end, so that it gets our answer and
  // no broken pipe.
  ::shutdown(watch_.fd(), SHUT_WR);
  watch_.want(true, false);
}

void UnixConnection::read_some() {
  const std::uint64_t id = id_;
  const MutableBytes buffer = listener_.read_buffer_.bytes();
  for (int i = 0; i < kReadsPerTurn && is_open() && id == id_; ++i) {
    const ssize_t size = ::recv(watch_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (size <= 0) {
      // A peer that has closed only its own half still waits for what it is being told.
      if (size == 0 && finishing_ && sent_ < unsent_.size()) return watch_.want(false, true);
      const bool told = !finishing_;
      close();
      if (told) listener_.handler_.on_gone(*this);
      return;
    }
    if (i > 0) watch_.loop().refresh();
    if (finishing_) continue;
    listener_.handler_.on_bytes(*this, Bytes(buffer).first(static_cast<std::size_t>(size)));
  }
}

UnixListener::UnixListener(Loop& loop, UnixListenerHandler& handler)
    : loop_(loop),
      handler_(handler),
      watch_(
          loop, [](void* self, Watch::Ready) { static_cast<UnixListener*>(self)->on_readable(); }, this),
      read_buffer_(kReadBufferBytes),
      connections_(kConnectionsMax),
      timer_(loop, [this] { on_timer(); }),
      retry_(loop, [this] { freed(); }) {
  for (std::uint32_t i = 0; i < kConnectionsMax; ++i) {
    connections_.push_back(std::make_unique<UnixConnection>(*this, i));
  }
}

UnixListener::~UnixListener() { close(); }

Result<void> UnixListener::listen(const std::string& name) {
  SHOAL_ASSERT(!is_open());
  const auto fail = [&](int code) {
    Error error = system_error(code, "cannot listen on " + name);
    error.message += advice(code, is_abstract(name));
    return error;
  };
  const Result<UnixAddress> address = to_unix_address(name);
  if (!address.ok()) return fail(address.error().code);
  OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return fail(errno);
  // On Linux the file gets the mode of the socket, so there is no moment at which others could connect.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) return fail(errno);
  if (const int code = bind_unix(fd.get(), name, address.value()); code != 0) {
    return fail(code);
  }
  struct stat info {};
  if (!is_abstract(name) && ::lstat(name.c_str(), &info) == 0) {
    device_ = info.st_dev;
    inode_ = info.st_ino;
  }
  name_ = name;
  if (::listen(fd.get(), kBacklog) != 0) {
    const int code = errno;
    close();
    return fail(code);
  }
  if (Result<void> opened = watch_.open(std::move(fd)); !opened.ok()) {
    close();
    return opened;
  }
  watch_.want(true, false);
  return {};
}

void UnixListener::close() {
  for (const auto& connection : connections_) connection->close();
  watch_.close();
  timer_.stop();
  retry_.stop();
  if (inode_ != 0) {
    // Whoever has replaced it keeps its own.
    struct stat info {};
    const bool ours = ::lstat(name_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
    if (ours) (void)::unlink(name_.c_str());
  }
  device_ = 0;
  inode_ = 0;
  name_.clear();
}

void UnixListener::on_readable() {
  while (watch_.is_open()) {
    if (in_use_ == kConnectionsMax) return watch_.want(false, false);
    OwnedFd fd(::accept4(watch_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.open()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        watch_.want(false, false);
        retry_.at(loop_.now() + 100ms);
        return;
      }
      continue;  // That one connection has gone already.
    }
    adopt(std::move(fd));
  }
}

void UnixListener::adopt(OwnedFd fd) {
  // A file's mode has let in whom it may; an abstract name lets in everybody.
  if (is_abstract(name_)) {
    const Result<uid_t> uid = peer_uid(fd.get());
    if (!uid.ok() || !is_trusted_uid(uid.value())) {
      ++refused_;
      return;
    }
  }
  for (const auto& connection : connections_) {
    if (connection->is_open()) continue;
    if (!connection->watch_.open(std::move(fd)).ok()) return;
    ++in_use_;
    connection->id_ = ++last_id_;
    connection->sent_ = 0;
    connection->progress();
    connection->watch_.want(true, false);
    handler_.on_accepted(*connection);
    return;
  }
  SHOAL_UNREACHABLE();
}

/// Called when a connection has become free, too.
void UnixListener::freed() {
  in_use_ = 0;
  for (const auto& connection : connections_) in_use_ += connection->is_open() ? 1 : 0;
  if (watch_.is_open()) watch_.want(true, false);
  arm();
}

void UnixListener::on_timer() {
  const Instant now = loop_.now();
  for (const auto& connection : connections_) {
    if (!connection->is_open() || connection->deadline_ > now) continue;
    if (connection->finishing_) {
      connection->close();
      continue;
    }
    const std::uint64_t id = connection->id_;
    handler_.on_timeout(*connection);
    if (connection->is_open() && connection->id_ == id && !connection->finishing_) connection->close();
  }
  arm();
}

void UnixListener::arm() {
  Instant first = kNever;
  for (const auto& connection : connections_) {
    if (connection->is_open()) first = earlier(first, connection->deadline_);
  }
  timer_.at(first);
}

}  // namespace shoal::reactor
