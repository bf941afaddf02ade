#include "reactor/accepted.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "reactor/fd.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {
namespace {

constexpr int kNewSynRecv = 12;  // The kernel's TCP_NEW_SYN_RECV: a handshake under way, in no libc header.

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

void put_address(__be32* words, const IpAddress& address, int family) {
  const IpAddress plain = family == AF_INET ? address.unmapped() : address;
  std::memcpy(words, plain.raw().data(), plain.raw().size());
}

Request request_for(const Endpoint& server, const Endpoint& client) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  const int family = family_of(server.addr);
  request.body.sdiag_family = static_cast<std::uint8_t>(family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0U;
  inet_diag_sockid& id = request.body.id;
  id.idiag_sport = htons(server.port);
  id.idiag_dport = htons(client.port);
  put_address(id.idiag_src, server.addr, family);
  put_address(id.idiag_dst, client.addr, family);
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

AcceptedSocket read_answer(const char* answer, std::size_t size) {
  nlmsghdr header{};
  if (size < sizeof header) return {};
  std::memcpy(&header, answer, sizeof header);
  const char* body = answer + NLMSG_HDRLEN;
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error{};
    if (size < NLMSG_HDRLEN + sizeof error) return {};
    std::memcpy(&error, body, sizeof error);
    return {error.error == -ENOENT ? Accepted::kGone : Accepted::kUnknown};
  }
  inet_diag_msg message{};
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || size < NLMSG_HDRLEN + sizeof message) return {};
  std::memcpy(&message, body, sizeof message);
  switch (message.idiag_state) {
    case TCP_LISTEN: return {Accepted::kGone};  // No such connection, but somebody who would take it.
    case TCP_SYN_RECV:
    case kNewSynRecv: return {Accepted::kWaiting};
    case TCP_ESTABLISHED:
    case TCP_CLOSE_WAIT: return {message.idiag_inode == 0 ? Accepted::kWaiting : Accepted::kTaken, message.idiag_inode};
    default: return {Accepted::kTaken, message.idiag_inode};  // Closed by this side, so somebody has had it.
  }
}

}  // namespace

AcceptedSocket accepted_socket(const Endpoint& server, const Endpoint& client) {
  if (server.addr.empty() || family_of(server.addr) != family_of(client.addr)) return {};
  const OwnedFd fd(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.open()) return {};
  // The kernel answers inside the send; nothing is waited for.
  const Request request = request_for(server, client);
  if (::send(fd.get(), &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) return {};
  std::array<char, 4096> answer;
  const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  return size < 0 ? AcceptedSocket{} : read_answer(answer.data(), static_cast<std::size_t>(size));
}

}  // namespace shoal::reactor
