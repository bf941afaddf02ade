#include "app/gossip_control.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "config/settings.h"

namespace shoal::app {
namespace {

admin::Member told(const serf::Node& node, const serf::Member& member) {
  admin::Member out;
  if (const auto round_trip = node.round_trip(member.name.view())) {
    const std::int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(*round_trip).count();
    out.rtt_us = static_cast<std::uint32_t>(std::min<std::int64_t>(us, UINT32_MAX));
  }
  out.name = std::string(member.name.view());
  out.addr = std::string(to_text(member.endpoint().addr).view());
  out.port = member.endpoint().port;
  out.status = std::string(serf::to_text(member.status));
  static_cast<void>(wire::for_each_tag(
      member.meta(), [&out](std::string_view key, std::string_view value) { out.tags.emplace_back(key, value); }));
  const swim::Versions v = member.versions();
  out.protocol = {v[0], v[1], v[2]};
  out.delegate = {v[3], v[4], v[5]};
  return out;
}

admin::KeysAnswer told(const serf::KeyTally& tally) {
  admin::KeysAnswer out;
  out.nodes = static_cast<std::uint32_t>(tally.nodes());
  out.answered = static_cast<std::uint32_t>(tally.answered());
  for (const serf::KeyCount& count : tally.keys()) {
    out.keys.push_back({std::string(count.key.view()), count.nodes, count.primary});
  }
  for (const serf::KeyMessage& message : tally.messages()) {
    out.errors.push_back({std::string(message.node.view()), std::string(message.text.view())});
  }
  return out;
}

}  // namespace

GossipControl::GossipControl(reactor::Loop& loop, const config::Config& config, Log& log, GossipDriver& gossip,
                             RoleView& view, SteerSelf steer_self)
    : loop_(loop),
      started_(loop.now()),
      config_(config),
      gossip_(gossip),
      server_(loop, log, *this),
      desk_(
          loop, view, [this](std::uint64_t ref, const admin::Health& health) { server_.answer(ref, health); },
          [this](std::uint64_t ref, const admin::Status& status) { answer_status(ref, status); }),
      steering_(loop, gossip),
      steer_self_(std::move(steer_self)) {}

Result<void> GossipControl::open() {
  return server_.open(config_.control, config::to_text(*config_.role), gossip_.bound_port());
}

void GossipControl::on_control(const ControlRequest& request) {
  const bool is_for_desk = request.operation == admin::Operation::kHealth ||
                           request.operation == admin::Operation::kReady ||
                           request.operation == admin::Operation::kStatus;
  if (is_for_desk) return desk_.ask(request.ref, request.operation);
  if (!gossip_.started())
    return server_.fail(request.ref, 503, "this node has not begun to gossip; try again in a moment");
  switch (request.operation) {
    case admin::Operation::kHealth:
    case admin::Operation::kReady:
    case admin::Operation::kStatus: break;  // The desk's.
    case admin::Operation::kMembers: return server_.answer(request.ref, members());
    case admin::Operation::kKeysList: return change_keys(request, serf::KeyOperation::kList);
    case admin::Operation::kKeysInstall: return change_keys(request, serf::KeyOperation::kInstall);
    case admin::Operation::kKeysUse: return change_keys(request, serf::KeyOperation::kUse);
    case admin::Operation::kKeysRemove: return change_keys(request, serf::KeyOperation::kRemove);
    case admin::Operation::kForceLeave:
      if (gossip_.node().members().get(request.name) == nullptr) {
        return server_.fail(request.ref, 404, "no member has this name; `shoal members` lists them");
      }
      if (!gossip_.force_leave(request.name, request.prune)) {
        return server_.fail(request.ref, 409, "this is the node that was asked; stop it with SIGTERM instead");
      }
      return server_.done(request.ref);
    case admin::Operation::kEvent:
      if (!gossip_.user_event(request.name, request.payload, request.coalesce)) {
        return server_.fail(request.ref, 400,
                            "an event may have 512 bytes, which leaves about 470 for its name and payload");
      }
      return server_.done(request.ref);
    case admin::Operation::kSteer: return steer(request);
  }
  SHOAL_UNREACHABLE();
}

void GossipControl::steer(const ControlRequest& request) {
  const std::uint64_t ref = request.ref;
  announce::Steering wish;
  wish.wish = announce::wish_of(request.wish);  // "ready" is none.
  wish.stop = request.stop;
  const serf::Member* const member = find_steered(gossip_.node().members(), request.name);
  if (member == nullptr) return server_.fail(ref, 404, "no member has this name; `shoal members` lists them");
  if (member->status != serf::Status::kAlive) {
    return server_.fail(ref, 409, "this member is not alive; `shoal members` shows its status");
  }
  if (wire::tag_value(member->meta(), "role") != "task") {
    return server_.fail(ref, 409, "this member is no task; `shoal members` shows the role of each");
  }
  if (wire::tag_value(member->meta(), kShoalTag).empty()) {
    return server_.fail(ref, 409, "this task is no shoal of this kind and knows no such wish; use HAProxy's socket");
  }
  if (member->name.view() == gossip_.node().name()) {
    const std::string wrong = steer_self_(wish);
    return wrong.empty() ? server_.done(ref) : server_.fail(ref, 409, wrong);
  }
  const bool begun = steering_.begin(*member, wish, [this, ref](int http_status, std::string_view message) {
    http_status == 200 ? server_.done(ref) : server_.fail(ref, http_status, message);
  });
  if (!begun) server_.fail(ref, 503, "too many wishes are under way; try again in some seconds");
}

void GossipControl::change_keys(const ControlRequest& request, serf::KeyOperation operation) {
  const std::uint64_t ref = request.ref;
  const bool begun = gossip_.key_operation(
      operation, request.key, [this, ref](const serf::KeyTally& tally) { server_.answer(ref, told(tally)); });
  if (!begun) server_.fail(ref, 409, "another key operation is under way; try again in some seconds");
}

void GossipControl::answer_status(std::uint64_t ref, const admin::Status& of_role) {
  admin::Status out = of_role;
  out.name = config_.node.name;
  out.role = std::string(config::to_text(*config_.role));
  out.version = SHOAL_VERSION;
  out.pid = ::getpid();
  out.uptime_ms = to_ms(loop_.now() - started_);
  if (gossip_.started()) {
    const serf::Members& members = gossip_.node().members();
    const auto count = [&](serf::Status status) { return static_cast<std::uint32_t>(members.count(status)); };
    out.name = std::string(gossip_.node().name());  // It may have got another one.
    out.address = std::string(to_text(gossip_.advertise()).view());
    out.members = static_cast<std::uint32_t>(members.size());
    out.alive = count(serf::Status::kAlive);
    out.leaving = count(serf::Status::kLeaving);
    out.left = count(serf::Status::kLeft);
    out.failed = count(serf::Status::kFailed);
  }
  server_.answer(ref, out);
}

std::vector<admin::Member> GossipControl::members() const {
  std::vector<admin::Member> out;
  const serf::Members& members = gossip_.node().members();
  for (const Slot slot : members.slots()) out.push_back(told(gossip_.node(), members[slot]));
  return out;
}

}  // namespace shoal::app
