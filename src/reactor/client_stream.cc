#include "reactor/client_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "reactor/socket_address.h"
#include "reactor/unix_address.h"

namespace shoal::reactor {

namespace {

constexpr int kReadsPerTurn = 8;

/// The kernel refuses these as it refuses a socket without a listener.
bool is_something_else(const std::string& path) {
  struct stat found {};
  return path.rfind('@', 0) != 0 && ::stat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode);
}

const char* advice_for_connect(int code, const std::string& path) {
  switch (code) {
    case ENOENT: return "; no such socket yet: is the path right, and is the program that makes it running?";
    case EACCES:
    case EPERM: return "; the socket's mode or owner does not let this user in: run as a user or group that may";
    case ECONNREFUSED:
      if (is_something_else(path)) return "; that path is no socket but a file or a directory";
      return "; the socket is there but nobody listens: its program has ended or is starting";
    case EAGAIN: return "; its accept queue is full: its program is busy or hangs";
    case EPROTOTYPE: return "; it is not a stream socket";
    default: return "";
  }
}

Error tcp_error(int code, const std::string& name) {
  Error error = system_error(code, "cannot connect to " + name);
  switch (code) {
    case ECONNREFUSED:
      error.message += "; nobody listens there: is the address right, and is its program running?";
      break;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH: error.message += "; is the address right, and does a firewall let this host in?"; break;
    default: break;
  }
  return error;
}

}  // namespace

bool is_trusted_uid(uid_t uid) { return uid == 0 || uid == ::geteuid(); }

ClientStream::ClientStream(Loop& loop, ClientStreamHandler& handler) : ClientStream(loop, handler, Options{}) {}

ClientStream::ClientStream(Loop& loop, ClientStreamHandler& handler, const Options& options)
    : handler_(handler),
      watch_(
          loop, [](void* self, Watch::Ready ready) { static_cast<ClientStream*>(self)->on_ready(ready); }, this),
      write_buffer_(options.write_buffer_bytes),
      read_buffer_(options.read_buffer_bytes) {}

Result<void> ClientStream::connect(const std::string& path, bool padded) {
  const auto fail = [&](int code) {
    Error error = system_error(code, "cannot connect to " + path);
    error.message += advice_for_connect(code, path);
    return error;
  };
  Result<UnixAddress> address = to_unix_address(path);
  if (!address.ok()) return fail(address.error().code);
  UnixAddress& to = address.value();
  if (padded) to.size = sizeof to.address;
  OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return fail(errno);
  if (::connect(fd.get(), to.get(), to.size) != 0) return fail(errno);
  const Result<void> opened = open(std::move(fd), path, false);
  return opened.ok() ? opened : fail(opened.error().code);
}

Result<void> ClientStream::connect(const Endpoint& place) {
  const std::string name(to_text(place).view());
  const int family = family_of(place.addr);
  const SocketAddress to = to_socket_address(place, family);
  OwnedFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return tcp_error(errno, name);
  const int yes = 1;
  static_cast<void>(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
  if (::connect(fd.get(), to.get(), to.size) != 0 && errno != EINPROGRESS) return tcp_error(errno, name);
  return open(std::move(fd), name, true);  // Also when it is made already: on_opened never comes in here.
}

Result<void> ClientStream::take_over(ClientStream& from) {
  SHOAL_ASSERT(from.is_open() && from.unsent_size_ == 0);
  OwnedFd fd(::fcntl(from.watch_.fd(), F_DUPFD_CLOEXEC, 0));
  const std::string name = from.name_;
  const bool connecting = from.connecting_;
  from.close();
  if (!fd.open()) return system_error(errno, "cannot keep the connection to " + name);
  return open(std::move(fd), name, connecting);
}

Result<void> ClientStream::open(OwnedFd fd, std::string name, bool connecting) {
  SHOAL_ASSERT(!is_open());
  if (Result<void> opened = watch_.open(std::move(fd)); !opened.ok()) return opened;
  name_ = std::move(name);
  ++connections_;
  unsent_begin_ = 0;
  unsent_size_ = 0;
  connecting_ = connecting;
  watch_.want(!connecting, connecting);
  return {};
}

void ClientStream::finish_connect() {
  int code = 0;
  socklen_t size = sizeof code;
  if (::getsockopt(watch_.fd(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
  connecting_ = false;
  if (code == 0) {
    watch_.want(true, false);
    return handler_.on_opened();
  }
  close();
  handler_.on_closed(tcp_error(code, name_));
}

Result<uid_t> ClientStream::peer_uid() const {
  SHOAL_ASSERT(is_open());
  return reactor::peer_uid(watch_.fd());
}

Result<pid_t> ClientStream::peer_pid() const {
  SHOAL_ASSERT(is_open());
  return reactor::peer_pid(watch_.fd());
}

bool ClientStream::write(Bytes bytes) {
  SHOAL_ASSERT(is_open() && !connecting_);
  if (bytes.empty()) return true;
  const MutableBytes memory = write_buffer_.bytes();
  if (bytes.size() > memory.size() - unsent_size_) return false;
  if (bytes.size() > memory.size() - unsent_begin_ - unsent_size_) {
    std::memmove(memory.data(), memory.data() + unsent_begin_, unsent_size_);
    unsent_begin_ = 0;
  }
  std::memcpy(memory.data() + unsent_begin_ + unsent_size_, bytes.data(), bytes.size());
  unsent_size_ += bytes.size();
  // Tried at once: a command a turn later is a millisecond lost. An error is left to the loop, which tells it.
  (void)flush();
  watch_.want(true, unsent_size_ > 0);
  return true;
}

void ClientStream::close() {
  watch_.close();
  unsent_begin_ = 0;
  unsent_size_ = 0;
}

// False when the connection is broken; errno says how.
bool ClientStream::flush() {
  while (unsent_size_ > 0) {
    const ssize_t size =
        ::send(watch_.fd(), write_buffer_.bytes().data() + unsent_begin_, unsent_size_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    unsent_begin_ += static_cast<std::size_t>(size);
    unsent_size_ -= static_cast<std::size_t>(size);
  }
  unsent_begin_ = 0;
  return true;
}

// Reads before it judges a failed write: what the peer said before it closed is delivered first.
void ClientStream::on_ready(Watch::Ready ready) {
  if (connecting_) return finish_connect();
  const std::uint64_t connection = connections_;
  int write_code = 0;
  if (ready.write && !flush()) write_code = errno;
  for (int i = 0; (ready.read || write_code != 0) && i < kReadsPerTurn; ++i) {
    const ssize_t size = ::recv(watch_.fd(), read_buffer_.bytes().data(), read_buffer_.size(), MSG_DONTWAIT);
    if (size == 0) return end(0, "it was closed by the other side");
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return end(errno, "reading failed");
      break;
    }
    if (i > 0) watch_.loop().refresh();
    handler_.on_bytes(Bytes(read_buffer_.bytes()).first(static_cast<std::size_t>(size)));
    if (!is_open() || connection != connections_) return;
  }
  if (write_code != 0) return end(write_code, "writing failed");
  watch_.want(true, unsent_size_ > 0);
}

void ClientStream::end(int code, const char* doing) {
  close();
  const std::string what = name_ + ": " + doing;
  handler_.on_closed(code == 0 ? Error{0, what} : system_error(code, what));
}

}  // namespace shoal::reactor
