#include "reactor/socket_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "base/hash.h"
#include "reactor/client_stream.h"
#include "reactor/unix_address.h"

namespace shoal::reactor {
namespace {

constexpr std::size_t kHolderBytesMax = 200;

/// The same for every way to write a path, so that two who spell it differently meet.
std::string true_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  char* resolved = ::realpath(folder.c_str(), nullptr);
  if (resolved == nullptr) return path;
  const std::string out = std::string(resolved) + "/" + path.substr(slash == std::string::npos ? 0 : slash + 1);
  std::free(resolved);
  return out;
}

std::string abstract_name(const std::string& what) {
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash64(as_bytes(what))));
  return std::string("@shoal-lock/") + hex;
}

/// What is in the lock file, made fit for a log.
std::string words_of(int fd) {
  char text[kHolderBytesMax];
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  std::string out;
  for (ssize_t i = 0; i < size && text[i] != '\n'; ++i) out += text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
  return out.empty() ? "another process" : out;
}

}  // namespace

SocketLock::SocketLock(std::string path, std::string name, std::string me)
    : path_(std::move(path)), name_(std::move(name)), me_(std::move(me)) {}

bool SocketLock::try_lock() {
  if (held_) return true;
  holder_.clear();
  held_ = lock_file() && lock_name();
  if (!held_) {
    file_.reset();
    listener_.reset();
  }
  return held_;
}

bool SocketLock::lock_file() {
  if (path_.empty()) return true;
  const std::string file = file_of(path_);
  bool may_write = true;
  file_.reset(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file_.open()) {
    may_write = false;
    file_.reset(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  }
  if (!file_.open()) return true;
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return true;
    holder_ = words_of(file_.get());
    return false;
  }
  const std::string line = me_ + "\n";
  if (may_write && ::ftruncate(file_.get(), 0) == 0) (void)!::pwrite(file_.get(), line.data(), line.size(), 0);
  return true;
}

bool SocketLock::lock_name() {
  const Result<UnixAddress> address = to_unix_address(abstract_name(path_.empty() ? name_ : true_path(path_)));
  if (!address.ok()) return true;
  const UnixAddress& to = address.value();
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // Nobody accepts there: who connects learns our pid from the kernel, and that is all.
  if (!listener_.open() || ::bind(listener_.get(), to.get(), to.size) == 0) {
    if (listener_.open()) (void)!::listen(listener_.get(), 16);
    return true;
  }
  const int code = errno;
  listener_.reset();
  if (code != EADDRINUSE) return true;
  const OwnedFd asking(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!asking.open() || ::connect(asking.get(), to.get(), to.size) != 0) {
    // It was let go this moment, or so many ask that its queue is full.
    holder_ = "another process";
    return false;
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(asking.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return true;
  if (!is_trusted_uid(peer.uid)) return true;
  holder_ = peer.pid > 0 ? "process " + std::to_string(peer.pid) : "another process";
  return false;
}

}  // namespace shoal::reactor
