#include "reactor/connect_probe.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/check.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

namespace {

ProbeResult result_of(int code) {
  if (code == 0) return ProbeResult::kConnected;
  if (code == ECONNREFUSED) return ProbeResult::kRefused;
  return code == ETIMEDOUT ? ProbeResult::kTimedOut : ProbeResult::kUnreachable;
}

}  // namespace

struct ConnectProbes::Slot {
  Slot(Loop& loop, ConnectProbes& probes)
      : owner(probes),
        watch(
            loop,
            [](void* self, Watch::Ready) {
              auto* slot = static_cast<Slot*>(self);
              slot->owner.on_ready(*slot);
            },
            this) {}

  ConnectProbes& owner;
  Watch watch;
  std::uint64_t token = 0;
  Endpoint to;
  Instant deadline = kNever;
  bool used = false;
  ProbeResult at_deadline = ProbeResult::kTimedOut;  // Something else when the connect failed at once.
};

std::string_view to_text(ProbeResult result) {
  switch (result) {
    case ProbeResult::kConnected: return "connected";
    case ProbeResult::kRefused: return "refused";
    case ProbeResult::kTimedOut: return "timed out";
    case ProbeResult::kUnreachable: return "unreachable";
  }
  SHOAL_UNREACHABLE();
}

ConnectProbes::ConnectProbes(Loop& loop, Handler handler, std::size_t capacity)
    : loop_(loop), handler_(std::move(handler)), slots_(capacity), timer_(loop, [this] { on_timer(); }) {
  for (std::size_t i = 0; i < capacity; ++i) slots_.push_back(std::make_unique<Slot>(loop, *this));
}

ConnectProbes::~ConnectProbes() = default;

bool ConnectProbes::start(std::uint64_t token, const Endpoint& to, Instant deadline) {
  if (full()) return false;
  Slot* slot = nullptr;
  for (const auto& s : slots_) {
    if (!s->used) slot = s.get();
  }
  SHOAL_ASSERT(slot != nullptr);
  ++in_use_;
  slot->used = true;
  slot->token = token;
  slot->to = to;
  slot->deadline = deadline;
  slot->at_deadline = ProbeResult::kTimedOut;
  const auto fail_later = [&](int code) {
    slot->at_deadline = result_of(code);
    slot->deadline = loop_.now();
    arm();
    return true;
  };
  const int family = family_of(to.addr);
  const SocketAddress address = to_socket_address(to, family);
  if (address.size == 0 || to.port == 0) return fail_later(EADDRNOTAVAIL);
  OwnedFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return fail_later(errno);
  if (::connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) return fail_later(errno);
  if (const Result<void> opened = slot->watch.open(std::move(fd)); !opened.ok()) {
    return fail_later(opened.error().code);
  }
  slot->watch.want(false, true);
  arm();
  return true;
}

void ConnectProbes::cancel(std::uint64_t token) {
  for (const auto& slot : slots_) {
    if (!slot->used || slot->token != token) continue;
    slot->watch.close();
    slot->used = false;
    --in_use_;
  }
  arm();
}

void ConnectProbes::on_ready(Slot& slot) {
  int code = 0;
  socklen_t size = sizeof code;
  ::getsockopt(slot.watch.fd(), SOL_SOCKET, SO_ERROR, &code, &size);
  finish(slot, result_of(code));
  arm();
}

void ConnectProbes::on_timer() {
  const Instant now = loop_.now();
  for (const auto& slot : slots_) {
    if (slot->used && slot->deadline <= now) finish(*slot, slot->at_deadline);
  }
  arm();
}

// The slot is free before the handler runs: it may start the next probe.
void ConnectProbes::finish(Slot& slot, ProbeResult result) {
  slot.watch.close();
  slot.used = false;
  --in_use_;
  const Endpoint to = slot.to;
  handler_(slot.token, to, result);
}

void ConnectProbes::arm() {
  Instant first = kNever;
  for (const auto& slot : slots_) {
    if (slot->used) first = earlier(first, slot->deadline);
  }
  timer_.at(first);
}

}  // namespace shoal::reactor
