// The sidecar's core on virtual time, joined to fake HAProxies: does what the shell would do, with no latency, and
// keeps what happened. `at` places are where a connect succeeds or not.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/core.h"
#include "support/fake_haproxy.h"

namespace shoal::sidecar {

class Harness {
 public:
  static Options default_options(std::size_t proxies = 1) {
    Options options;
    for (std::size_t i = 0; i < proxies; ++i)
      options.sockets.push_back(std::string_view("/run/haproxy-" + std::to_string(i) + ".sock"));
    options.registry.members_max = 64;
    options.registry.tombstones_max = 64;
    options.session.reply_bytes_max = 1 << 18;
    options.server_options = *haproxy::ServerOptions::parse(
        "check inter 2s downinter 200ms pool-max-conn -1 pool-purge-delay 5s observe layer4");
    return options;
  }

  explicit Harness(const Options& options = default_options())
      : options_(options),
        outbox_(options.sockets.size(), options.session, options.dry_run),
        lines_(options.sockets.size()) {
    for (std::size_t i = 0; i < options.sockets.size(); ++i) fakes_.push_back(std::make_unique<test::FakeHaproxy>());
    start_sidecar();
  }

  /// The sidecar process anew: nothing remembered, HAProxy untouched.
  void start_sidecar() {
    for (std::size_t p = 0; p < lines_.size(); ++p) {
      for (int& number : lines_[p]) fakes_[p]->close(number), number = 0;
    }
    core = std::make_unique<Core>(options_, Rng(7), now);
  }

  test::FakeHaproxy& haproxy(std::size_t proxy = 0) { return *fakes_[proxy]; }

  // ---- inputs
  static IpAddress host(int last) { return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(last)); }
  void member(std::string_view node, int last, MemberStatus status = MemberStatus::kAlive) {
    core->on_member(now, node, host(last), status, outbox_);
    settle();
  }
  static announce::Announcement word(std::uint64_t start, std::uint64_t seq, std::uint16_t port = 8080,
                                     std::string_view pool = "") {
    announce::Announcement out;
    out.port = port;
    out.pool.assign_cut(pool);
    out.generation = {start, seq};
    return out;
  }
  void announce(std::string_view node, const announce::Announcement& said) {
    core->on_announcement(now, node, said, outbox_);
    settle();
  }
  void depart(std::string_view node, std::uint64_t start, std::uint64_t seq, bool returns = false) {
    announce::Departure said;
    said.returns = returns;
    said.port = 8080;
    said.generation = {start, seq};
    core->on_departure(now, node, said, outbox_);
    settle();
  }
  void wish(std::string_view node, announce::Wish wanted) {
    core->on_wish(now, node, wanted, outbox_);
    settle();
  }
  void remember(const LastServer& server) {
    core->remember(now, server, outbox_);
    settle();
  }
  void cluster_ready() {
    core->on_cluster_ready(now, outbox_);
    settle();
  }
  /// A member with one ready server in rotation.
  void serve(std::string_view node, int last, std::uint64_t start = 1) {
    member(node, last);
    announce(node, word(start, 1));
    run(20ms);
    REQUIRE(standing(node, start).in_rotation);
  }

  // ---- time
  void run(Duration duration) {
    const Instant end = now + duration;
    settle();
    for (int steps = 0;; ++steps) {
      REQUIRE(steps < 200000);  // A live-lock is a failure, not a hang.
      const Instant next = earlier(core->next_deadline(), late_.empty() ? kNever : late_.front().at);
      if (next > end) break;
      now = std::max(now, next);
      while (!late_.empty() && late_.front().at <= now) {
        inputs_.push_back(late_.front().input);
        late_.erase(late_.begin());
      }
      settle();
      core->on_deadline(now, outbox_);
      settle();
    }
    now = end;
  }

  announce::Standing standing(std::string_view node, std::uint64_t start = 1) const {
    return core->standing(node, announce::Generation{start, 0});
  }
  bool saw(EventKind kind) const {
    for (const Event& event : events) {
      if (event.kind == kind) return true;
    }
    return false;
  }
  /// How often a line with this text went to HAProxy's socket, `show` lines not counted.
  int sent(std::string_view text, std::size_t proxy = 0) {
    int count = 0;
    for (const std::string& line : haproxy(proxy).commands) count += line.find(text) != std::string::npos ? 1 : 0;
    return count;
  }

  std::unique_ptr<Core> core;
  Instant now{};
  std::vector<Event> events;
  std::vector<std::string> would_send;
  std::vector<Endpoint> verified;
  std::vector<Endpoint> looked;  // Connects before a server leaves.
  VerifyResult verify_result = VerifyResult::kConnected;
  VerifyResult look_result = VerifyResult::kRefused;  // A killed task's host.
  std::map<int, VerifyResult> host_result;            // Of one host, in place of both.
  bool answer_verifies = true;
  bool answer_looks = true;
  bool time_outs_take_a_second = false;
  Duration looks_take{};  // Those that do not time out.

 private:
  struct Input {
    enum Kind { kConnected, kFailed, kBytes, kBytes2, kClosed, kVerify } kind;
    std::size_t proxy = 0;
    haproxy::Stream stream = haproxy::Stream::kMain;
    std::string bytes;
    std::uint32_t id = 0;
    int line = 0;
    VerifyResult result = VerifyResult::kConnected;
  };
  struct Late {
    Instant at;
    Input input;
  };

  void collect() {
    for (const Event& event : outbox_.events) events.push_back(event);
    for (const WouldSend& line : outbox_.would_send) would_send.emplace_back(line.text.view());
    for (const Verify& verify : outbox_.verifies) {
      const bool is_look = (verify.id & Looks::kIdBit) != 0;
      (is_look ? looked : verified).push_back(verify.place);
      if (!(is_look ? answer_looks : answer_verifies)) continue;
      Input input{Input::kVerify, 0, haproxy::Stream::kMain, "", verify.id, 0};
      const auto of_host = host_result.find(verify.place.addr.raw().back());
      input.result = of_host != host_result.end() ? of_host->second : is_look ? look_result : verify_result;
      const bool is_slow = time_outs_take_a_second && input.result == VerifyResult::kTimedOut;
      const Duration takes = is_slow ? verify.deadline : is_look ? looks_take : 0ms;
      if (takes > 0ms) {
        const auto later = [&](const Late& late) { return late.at > now + takes; };
        late_.insert(std::find_if(late_.begin(), late_.end(), later), {now + takes, input});
      } else {
        inputs_.push_back(input);
      }
    }
    for (std::size_t p = 0; p < lines_.size(); ++p) {
      haproxy::SessionOutbox& out = outbox_.session(p);
      REQUIRE(out.events.empty());
      for (std::size_t s = 0; s < haproxy::kStreams; ++s) {
        if (!out.wants_close(static_cast<haproxy::Stream>(s))) continue;
        fakes_[p]->close(lines_[p][s]);
        lines_[p][s] = 0;
      }
      if (const auto old = out.hands_over()) lines_[p][static_cast<std::size_t>(*old)] = std::exchange(lines_[p][0], 0);
      for (std::size_t s = 0; s < haproxy::kStreams; ++s) collect(p, static_cast<haproxy::Stream>(s));
    }
    outbox_.clear();
  }
  void collect(std::size_t p, haproxy::Stream stream) {
    haproxy::SessionOutbox& out = outbox_.session(p);
    int& line = lines_[p][static_cast<std::size_t>(stream)];
    if (out.wants_connect(stream)) {
      const bool refused = fakes_[p]->refuses_connections;
      line = refused ? 0 : fakes_[p]->open();
      inputs_.push_back({refused ? Input::kFailed : Input::kConnected, p, stream, "Connection refused", 0, line});
    }
    const Bytes bytes = out.to_write(stream);
    if (bytes.empty() || line == 0 || !fakes_[p]->alive(line)) return;
    const auto answer = fakes_[p]->feed(line, as_text(bytes));
    if (!answer.bytes.empty()) inputs_.push_back({Input::kBytes, p, stream, answer.bytes, 0, line});
    if (answer.closed) inputs_.push_back({Input::kClosed, p, stream, "", 0, line});
  }
  void settle() {
    collect();
    for (int steps = 0;; ++steps) {
      REQUIRE(steps < 100000);
      for (std::size_t p = 0; p < lines_.size(); ++p) {
        for (std::size_t s = 0; s < haproxy::kStreams; ++s) {
          if (lines_[p][s] == 0 || fakes_[p]->alive(lines_[p][s])) continue;
          bool is_pending = false;
          for (const Input& input : inputs_) is_pending = is_pending || input.line == lines_[p][s];
          if (!is_pending) inputs_.push_back({Input::kClosed, p, static_cast<haproxy::Stream>(s), "", 0, lines_[p][s]});
        }
      }
      if (inputs_.empty()) return;
      const Input input = inputs_.front();
      inputs_.erase(inputs_.begin());
      give(input);
      collect();
    }
  }
  void give(const Input& input) {
    if (input.kind == Input::kVerify) return core->on_verify_result(now, input.id, input.result, outbox_);
    haproxy::Stream stream = input.stream;
    for (std::size_t s = 0; input.line != 0 && s < haproxy::kStreams; ++s) {  // Handed over meanwhile.
      if (lines_[input.proxy][s] == input.line) stream = static_cast<haproxy::Stream>(s);
    }
    int& line = lines_[input.proxy][static_cast<std::size_t>(stream)];
    if (line != input.line) return;  // Of a connection that has been closed since.
    switch (input.kind) {
      case Input::kConnected: return core->on_connected(now, input.proxy, stream, outbox_);
      case Input::kFailed: return core->on_connect_failed(now, input.proxy, stream, input.bytes, outbox_);
      case Input::kBytes:
        // In two pieces, so that no test depends on how a stream cuts its bytes.
        core->on_bytes(now, input.proxy, stream, as_bytes(input.bytes.substr(0, input.bytes.size() / 2)), outbox_);
        collect();
        inputs_.insert(inputs_.begin(), Input{Input::kBytes2, input.proxy, stream,
                                              input.bytes.substr(input.bytes.size() / 2), 0, input.line});
        return;
      case Input::kBytes2: return core->on_bytes(now, input.proxy, stream, as_bytes(input.bytes), outbox_);
      case Input::kClosed: line = 0; return core->on_closed(now, input.proxy, stream, outbox_);
      case Input::kVerify: return;
    }
  }

  Options options_;
  Outbox outbox_;
  std::vector<std::unique_ptr<test::FakeHaproxy>> fakes_;
  std::vector<std::array<int, haproxy::kStreams>> lines_;
  std::vector<Input> inputs_;
  std::vector<Late> late_;
};

}  // namespace shoal::sidecar
