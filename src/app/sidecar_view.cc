#include "app/sidecar_view.h"

#include <cstdio>
#include <string>

namespace shoal::app {
namespace {

void count_server(const sidecar::ServerView& server, admin::ProxyRow& row) {
  const bool is_wanted = server.wanted.goal == sidecar::Goal::kInRotation;
  if (server.observed.in_rotation()) {
    ++row.in_rotation;
  } else if (server.observed.present) {
    ++row.out;
  }
  if (server.observed.is_operators()) {
    ++row.by_hand;
  } else if (is_wanted && !server.observed.in_rotation()) {
    ++row.missing;
  }
  if (!server.node.empty() && server.observed.present) ++row.claimed;
}

}  // namespace

SidecarView::ProxyFacts SidecarView::proxy_facts(Instant now) const {
  ProxyFacts out;
  for (std::size_t i = 0; core_ != nullptr && i < core_->proxies(); ++i) {
    const haproxy::RuntimeSession& session = core_->session(i);
    admin::ProxyFacts proxy;
    proxy.socket = config_.haproxy.sockets[i].text;
    proxy.up = session.is_up();
    proxy.was_up = session.was_up();
    proxy.down_text = session.down_text();
    if (core_->compared_at(i) != kNever) proxy.compared = now - core_->compared_at(i);
    if (session.nobody_since() != kNever) proxy.nobody_for = now - session.nobody_since();
    out.push_back(proxy);
  }
  return out;
}

admin::SidecarFacts SidecarView::facts(const ProxyFacts& proxies) const {
  admin::SidecarFacts out;
  out.gossips = core_ != nullptr;
  out.stopping = stopping_;
  out.supervises = !config_.haproxy.command.empty();
  out.reconcile_interval = config_.haproxy.reconcile_interval;
  out.proxies = {proxies.begin(), proxies.size()};
  return out;
}

admin::Health SidecarView::health(Instant now) const {
  const ProxyFacts proxies = proxy_facts(now);
  return admin::sidecar_health(facts(proxies));
}

admin::Health SidecarView::ready(Instant now, Instant) const {
  const ProxyFacts proxies = proxy_facts(now);
  return admin::sidecar_ready(facts(proxies));
}

void SidecarView::fill(Instant now, Instant since, admin::Status& out) const {
  out.health = health(now);
  out.ready = ready(now, since);
  admin::SidecarStatus& status = out.sidecar.emplace();
  status.dry_run = config_.haproxy.dry_run;
  status.supervises = !config_.haproxy.command.empty();
  if (core_ == nullptr) return;
  for (std::size_t i = 0; i < core_->registry().size(); ++i) {
    const sidecar::Fact& fact = core_->registry()[static_cast<std::uint32_t>(i)];
    if (fact.used && fact.has_word && fact.is_there() && !fact.departs()) ++status.tasks;
  }
  const ProxyFacts proxies = proxy_facts(now);
  for (std::size_t i = 0; i < proxies.size(); ++i) {
    const haproxy::RuntimeSession& session = core_->session(i);
    admin::ProxyRow row;
    row.socket = proxies[i].socket;
    row.connected = proxies[i].up;
    row.reason = proxies[i].down_text;
    row.version = session.info().version.view();
    row.pid = static_cast<std::int64_t>(session.info().pid);
    if (proxies[i].compared) row.compared_ms = to_ms(*proxies[i].compared);
    row.commands = core_->proxy_counts(i).commands;
    row.refused = core_->proxy_counts(i).refused;
    row.reconnects = session.reconnects();
    row.replacements = session.replacements();
    for (std::size_t slot = 0; slot < haproxy::kOldMax; ++slot) row.old_processes += session.has_old(slot) ? 1 : 0;
    status.proxies.push_back(row);
  }
  core_->each_server(now, [&](const sidecar::ServerView& server) {
    admin::ProxyRow& row = status.proxies[server.proxy];
    if (row.connected) count_server(server, row);  // Of one that is away nothing is known now.
    if (!server.slot.empty()) row.method = "slots, where a pool takes no servers at run time";
    if (!server.held) return;
    if (status.held.size() == admin::kRowsMax) {
      ++status.held_left_out;
      return;
    }
    status.held.push_back({std::string(server.server), std::string(server.pool), std::string(server.node), row.socket});
  });
}

std::string_view SidecarView::take_line() {
  if (core_ == nullptr) return {};
  std::uint32_t up = 0;
  for (std::size_t i = 0; i < core_->proxies(); ++i) up += core_->proxy_up(i) ? 1 : 0;
  const std::uint32_t mark = up * 2 + (stopping_ ? 1 : 0);
  if (mark == shown_) return {};
  shown_ = mark;
  char text[decltype(line_)::capacity()];
  const int size = std::snprintf(text, sizeof text, "%sconnected to %u of %zu HAProxies", stopping_ ? "stopping; " : "",
                                 up, core_->proxies());
  line_.assign_cut({text, static_cast<std::size_t>(size)});
  return line_;
}

}  // namespace shoal::app
