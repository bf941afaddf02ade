#include "reactor/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "reactor/socket_address.h"
#include "reactor/system.h"

namespace shoal::reactor {

namespace {

constexpr int kReadsPerTurn = 16;

// Takes what came beside the datagram: who sent it, and descriptors that nobody asked for, which are closed.
void take_ancillary(msghdr& message, Notification& out) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len >= CMSG_LEN(sizeof(ucred))) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
      out.sender_pid = sender.pid;
      out.sender_uid = sender.uid;
    } else if (part->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
        OwnedFd(fd).reset();
      }
    }
  }
}

void take_status(std::string_view text, FixedString<Notification::kStatusBytesMax>& out) {
  char plain[Notification::kStatusBytesMax];
  const std::size_t size = std::min(text.size(), sizeof plain);
  for (std::size_t i = 0; i < size; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    plain[i] = c < 0x20 || c == 0x7f ? ' ' : text[i];
  }
  out.assign_cut({plain, size});
}

}  // namespace

Notification parse_notification(Bytes datagram) {
  Notification out;
  std::string_view rest = as_text(datagram);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    constexpr std::string_view kStatus = "STATUS=";
    if (line == "READY=1") {
      out.ready = true;
    } else if (line == "STOPPING=1") {
      out.stopping = true;
    } else if (line == "RELOADING=1") {
      out.reloading = true;
    } else if (line.substr(0, kStatus.size()) == kStatus) {
      take_status(line.substr(kStatus.size()), out.status);
    }
  }
  return out;
}

NotifySocket::NotifySocket(Loop& loop, Handler handler)
    : handler_(std::move(handler)),
      watch_(
          loop, [](void* self, Watch::Ready) { static_cast<NotifySocket*>(self)->on_readable(); }, this),
      buffer_(kDatagramBytesMax) {}

Result<void> NotifySocket::open() {
  SHOAL_ASSERT(!watch_.is_open());
  char name[64];
  const int size =
      std::snprintf(name, sizeof name, "@shoal/notify/%016llx%016llx", static_cast<unsigned long long>(entropy_u64()),
                    static_cast<unsigned long long>(entropy_u64()));
  OwnedFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return system_error(errno, "cannot make the worker's NOTIFY_SOCKET");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name, static_cast<std::size_t>(size));
  address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + static_cast<std::size_t>(size));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return system_error(errno, std::string("cannot bind the worker's NOTIFY_SOCKET ") + name);
  }
  if (Result<void> opened = watch_.open(std::move(fd)); !opened.ok()) return opened;
  watch_.want(true, false);
  name_ = name;
  return {};
}

void NotifySocket::on_readable() {
  for (int i = 0; i < kReadsPerTurn && watch_.is_open(); ++i) {
    iovec part{buffer_.bytes().data(), buffer_.size()};
    // Room for the credentials and for descriptors that a sender may attach, so that they can be closed.
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(16 * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary;
    message.msg_controllen = sizeof ancillary;
    const ssize_t size = ::recvmsg(watch_.fd(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return;
    Notification notification;
    take_ancillary(message, notification);
    if ((message.msg_flags & MSG_TRUNC) != 0) {
      ++dropped_;
      continue;
    }
    Notification parsed = parse_notification(Bytes(buffer_.bytes()).first(static_cast<std::size_t>(size)));
    parsed.sender_pid = notification.sender_pid;
    parsed.sender_uid = notification.sender_uid;
    if (i > 0) watch_.loop().refresh();
    handler_(parsed);
  }
}

}  // namespace shoal::reactor
