// The simulator's HAProxy against a recording of the real one: the same lines, the same answers.
#include "sim/haproxy_model.h"

#include <doctest/doctest.h>

#include <cstdio>

namespace shoal::test {
namespace {

std::string file(const char* path) {
  std::string out;
  std::FILE* f = std::fopen(path, "rb");
  if (f == nullptr) return out;
  char memory[4096];
  for (std::size_t n = 0; (n = std::fread(memory, 1, sizeof memory, f)) > 0;) out.append(memory, n);
  static_cast<void>(std::fclose(f));
  return out;
}

std::string_view take(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

/// Word for word, where the recording has no `*`.
bool matches(std::string_view recorded, std::string_view answer, char separator) {
  while (!recorded.empty() || !answer.empty()) {
    const std::string_view wanted = take(recorded, separator);
    const std::string_view got = take(answer, separator);
    if (wanted != "*" && wanted != got) return false;
  }
  return true;
}

bool matches(std::string_view recorded, std::string_view answer) {
  if (recorded == answer) return true;
  const std::size_t colon = recorded.find(": *");
  if (colon != std::string_view::npos) return recorded.substr(0, colon + 1) == answer.substr(0, colon + 1);
  return matches(recorded, answer, recorded.find(',') == std::string_view::npos ? ' ' : ',');
}

/// The stage of test/interop/haproxy_answers.py.
class Stage {
 public:
  Stage() {
    process.add_pool("web", true);
    process.add_pool("api", true);
    process.add_pool("ring", false);
    process.add_pool("ringed", true);
    process.add_static_server("api", "fixed", 1, 7);
    process.add_static_server("ring", "fixed", 1, 1);
  }

  void direct(std::string_view words) {
    ModelServer* server = process.find("web", "shoal-a-1");
    if (words == "request") {
      ++server->sessions;
    } else if (words == "answer") {
      --server->sessions;
      ++server->idle;
    } else {
      CHECK(words == "quiet web/shoal-a-1");
    }
  }

  HaproxyProcess process{HaproxyVersion::k26, 4711, 1795235379};
};

TEST_CASE("the simulator's HAProxy answers shoal's lines as the recorded one did") {
  const std::string recording = file(SHOAL_VECTORS "/haproxy/2.6.12.txt");
  REQUIRE(recording.size() > 10'000);
  Stage stage;
  int lines = 0;
  std::string command, answer;
  std::string_view rest_of_answer;
  bool is_open = false;  // An answer is being compared.
  for (std::string_view rest = recording; !rest.empty();) {
    const std::string_view line = take(rest, '\n');
    if (line.empty() || line[0] != '<') {
      CAPTURE(command);
      if (is_open) CHECK(rest_of_answer.empty());
      is_open = false;
    }
    if (line.substr(0, 2) == "! ") stage.direct(line.substr(2));
    if (line.substr(0, 2) == "> ") {
      ++lines;
      command = line.substr(2);
      answer = stage.process.execute(Instant{} + lines * 1s, Hand::kShoal, command) + "\n";
      rest_of_answer = answer;
      is_open = true;
    }
    if (line.substr(0, 1) != "<") continue;
    const std::string recorded(line.substr(std::min<std::size_t>(2, line.size())));
    const std::string got(take(rest_of_answer, '\n'));
    CAPTURE(command);
    CAPTURE(recorded);
    CAPTURE(got);
    CHECK(matches(recorded, got));
  }
  CHECK(lines > 70);
}

TEST_CASE("3.x ends its refusals with an empty line and closes idle connections itself until 3.2") {
  for (const HaproxyVersion version : {HaproxyVersion::k30, HaproxyVersion::k34}) {
    HaproxyProcess process(version, 1, 1);
    process.add_pool("web", true);
    const Instant now = Instant{} + 1s;
    const auto say = [&](std::string_view line) { return process.execute(now, Hand::kShoal, line); };
    CHECK(say("del server web/none") == "No such server.\n");
    CHECK(say("add server none/a 127.0.0.1:1") == "No such backend.\n");
    CHECK(say("add server web/a 127.0.0.1:1 weight 0 id 7") == "New server registered.\n");
    process.find("web", "a")->idle = 1;
    const bool closes = version == HaproxyVersion::k30;
    CHECK(say("del server web/a") ==
          (closes ? "Server deleted.\n" : "Server still has connections attached to it, cannot remove it.\n"));
  }
}

TEST_CASE("entering maintenance empties the pool of idle connections, ending a request afterwards does not") {
  HaproxyProcess process(HaproxyVersion::k26, 1, 1);
  process.add_pool("web", true);
  const auto say = [&](std::string_view line) { return process.execute(Instant{} + 1s, Hand::kShoal, line); };
  static_cast<void>(say("add server web/a 127.0.0.1:1 weight 5"));
  static_cast<void>(say("enable server web/a"));
  ModelServer& server = *process.find("web", "a");
  CHECK(server.serves());
  server.idle = 2;
  static_cast<void>(say("set server web/a state maint"));
  CHECK(server.idle == 0);
  CHECK(server.maintenance_since == Instant{} + 1s);
  server.idle = 1;
  CHECK(say("del server web/a") == "Server still has connections attached to it, cannot remove it.");
}

}  // namespace
}  // namespace shoal::test
