// The control socket from end to end: the commands in a child process, the server here.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "app/control_client.h"
#include "app/control_server.h"
#include "app/control_text.h"
#include "app/status_text.h"
#include "reactor/client_stream.h"

using namespace shoal;
using namespace shoal::app;
using config::Command;

namespace {

std::string socket_name() { return "@shoal-unit-control/" + std::to_string(::getpid()); }

struct Fixture final : ControlHandler, reactor::ClientStreamHandler {
  Fixture() {
    config::Control control;
    control.kind = config::Control::Kind::kSocket;
    control.socket = socket_name();
    REQUIRE(server.open(control, "task", 7947).ok());
    CHECK(server.socket() == socket_name());
  }
  void on_control(const ControlRequest& request) override {
    ref = request.ref;
    operation = request.operation;
    name = request.name;
    key.assign(request.key.begin(), request.key.end());
    payload = as_text(request.payload);
    prune = request.prune;
    coalesce = request.coalesce;
    wish = request.wish;
    stop = request.stop;
    if (on_request) on_request();
  }
  void on_bytes(Bytes bytes) override { answer += as_text(bytes); }
  void on_closed(const Error&) override { loop.stop(); }

  /// Sends a text and gives the status line and the body.
  std::string ask(const std::string& text) {
    answer.clear();
    reactor::ClientStream stream(loop, *this);
    REQUIRE(stream.connect(socket_name()).ok());
    REQUIRE(stream.write(as_bytes(text)));
    reactor::Timer limit(loop, [this] { loop.stop(); });
    limit.at(loop.now() + 3s);
    loop.run();
    return answer.substr(0, answer.find('\r')) + " " +
           answer.substr(std::min(answer.find("\r\n\r\n"), answer.size() - 4) + 4);
  }
  std::string post(const std::string& path, const std::string& body) {
    return ask("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               body);
  }

  reactor::Loop loop;
  Log log{LogLevel::kError, LogFormat::kText, [](void*, std::string_view) {}, nullptr, [] { return std::int64_t{0}; }};
  ControlServer server{loop, log, *this};
  std::function<void()> on_request;
  std::uint64_t ref = 0;
  admin::Operation operation = admin::Operation::kStatus;
  std::string name, payload, answer;
  std::vector<std::uint8_t> key;
  bool prune = false, coalesce = false, stop = false;
  std::string wish;
};

admin::Status named(const std::string& name) {
  admin::Status status;
  status.name = name;
  return status;
}

Command command_of(Command::Kind kind, bool json = false) {
  Command command;
  command.kind = kind;
  command.json = json;
  return command;
}

}  // namespace

TEST_CASE("each request reaches the handler with what it says, and is answered at once or later") {
  Fixture f;
  f.on_request = [&] { f.server.answer(f.ref, named("n")); };
  CHECK(f.ask("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").find("HTTP/1.1 200 OK {\"name\":\"n\"") == 0);
  CHECK(f.operation == admin::Operation::kStatus);

  f.on_request = [&] {  // Two turns later.
    f.loop.post([&] { f.loop.post([&] { f.server.answer(f.ref, admin::KeysAnswer{{}, 3, 3, {}}); }); });
  };
  CHECK(f.post("/v1/keys/use", R"({"key":"AAECAwQFBgcICQoLDA0ODw=="})") ==
        R"(HTTP/1.1 200 OK {"keys":[],"nodes":3,"answered":3,"errors":[]})");
  CHECK(f.operation == admin::Operation::kKeysUse);
  CHECK(f.key == std::vector<std::uint8_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});

  f.on_request = [&] { f.server.done(f.ref); };
  CHECK(f.post("/v1/event", R"({"name":"deploy","payload":"v1","coalesce":true})") == "HTTP/1.1 200 OK {}");
  CHECK(f.name == "deploy");
  CHECK(f.payload == "v1");
  CHECK(f.coalesce);
  f.on_request = [&] { f.server.fail(f.ref, 404, "no such member"); };
  CHECK(f.post("/v1/force-leave", R"({"name":"web-1","prune":true})") ==
        R"(HTTP/1.1 404 Not Found {"error":"no such member"})");
  CHECK(f.name == "web-1");
  CHECK(f.prune);
  f.on_request = [&] { f.server.done(f.ref); };
  CHECK(f.post("/v1/steer", R"({"name":"web-2","wish":"maint","stop":true})") == "HTTP/1.1 200 OK {}");
  CHECK(f.operation == admin::Operation::kSteer);
  CHECK(f.name == "web-2");
  CHECK(f.wish == "maint");
  CHECK(f.stop);
}

TEST_CASE("health and ready are two paths, and what is not well is a 503") {
  Fixture f;
  f.on_request = [&] { f.server.answer(f.ref, admin::Health{f.operation == admin::Operation::kHealth, "why"}); };
  CHECK(f.ask("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n") == R"(HTTP/1.1 200 OK {"healthy":true,"reason":"why"})");
  CHECK(f.ask("GET /v1/ready HTTP/1.1\r\nHost: x\r\n\r\n") ==
        R"(HTTP/1.1 503 Service Unavailable {"healthy":false,"reason":"why"})");
  CHECK(f.post("/v1/health", "{}").find("HTTP/1.1 405") == 0);
}

TEST_CASE("a bad request never reaches the handler") {
  Fixture f;
  f.on_request = [] { FAIL_CHECK("the handler was asked"); };
  CHECK(f.post("/v1/keys/install", R"({"key":"c2VjcmV0"})")
            .find("HTTP/1.1 400 Bad Request {\"error\":\"the key is not base64 of 16") == 0);
  CHECK(f.post("/v1/keys/install", "{}").find("HTTP/1.1 400") == 0);
  CHECK(f.post("/v1/event", "{").find("HTTP/1.1 400") == 0);
  CHECK(f.post("/v1/steer", R"({"name":"a","wish":"dance"})").find("HTTP/1.1 400") == 0);
  CHECK(f.post("/v1/steer", R"({"name":"a","wish":"ready","stop":true})").find("HTTP/1.1 400") == 0);
  CHECK(f.post("/v1/steer", R"({"wish":"drain"})").find("HTTP/1.1 400") == 0);
  CHECK(f.post("/v1/status", "{}").find("HTTP/1.1 405") == 0);
  CHECK(f.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").find("HTTP/1.1 404") == 0);
  CHECK(f.ask("nonsense\r\n\r\n").find("HTTP/1.1 400") == 0);
}

TEST_CASE("an answer to nobody changes nothing") {
  Fixture f;
  std::uint64_t first = 0;
  f.on_request = [&] {
    first = f.ref;
    f.server.done(f.ref);
    f.server.done(f.ref);  // Twice.
  };
  CHECK(f.post("/v1/event", R"({"name":"a"})") == "HTTP/1.1 200 OK {}");
  f.on_request = [&] {
    f.server.fail(first, 400, "late");
    f.server.done(f.ref);
  };
  CHECK(f.post("/v1/event", R"({"name":"a"})") == "HTTP/1.1 200 OK {}");
  f.server.done(0);
}

TEST_CASE("a command finds the named socket, asks, and prints the answer") {
  Fixture f;
  int pipe_fds[2];
  REQUIRE(::pipe(pipe_fds) == 0);
  const std::string socket = socket_name();  // Of this process, not of the child.
  const pid_t child = ::fork();
  if (child == 0) {
    config::Loaded loaded;
    loaded.config.control.kind = config::Control::Kind::kSocket;
    loaded.config.control.socket = socket;
    const ControlOutcome outcome = run_control_command(command_of(Command::Kind::kMembers), loaded, 0);
    const ssize_t written = ::write(pipe_fds[1], outcome.out.data(), outcome.out.size());
    ::_exit(written < 0 ? 99 : outcome.exit_code);
  }
  f.on_request = [&] {
    f.server.answer(f.ref, {admin::Member{"web-1", "10.0.0.1", 7946, "alive", {{"role", "task"}}, 1250, {}, {}}});
    f.loop.post([&] { f.loop.post([&] { f.loop.post([&] { f.loop.stop(); }); }); });
  };
  reactor::Timer limit(f.loop, [&] { f.loop.stop(); });
  limit.at(f.loop.now() + 3s);
  f.loop.run();
  limit.at(f.loop.now() + 200ms);  // The rest of the answer, where the kernel did not take it at once.
  f.loop.run();
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WEXITSTATUS(status) == 0);
  char text[256] = {};
  REQUIRE(::read(pipe_fds[0], text, sizeof text - 1) > 0);
  CHECK(std::string(text) ==
        "NAME   ADDRESS        STATUS  RTT    TAGS\nweb-1  10.0.0.1:7946  alive   1.2ms  role=task\n");
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
}

TEST_CASE("the exit code says whether it was done, refused, done in part, or must wait") {
  const auto code = [](Command::Kind kind, int status, const std::string& body) {
    return tell_answer(command_of(kind), status, body).exit_code;
  };
  CHECK(code(Command::Kind::kEvent, 200, "{}") == 0);
  CHECK(code(Command::Kind::kForceLeave, 404, R"({"error":"no such member"})") == 1);
  CHECK(code(Command::Kind::kEvent, 503, R"({"error":"not joined"})") == 75);
  CHECK(code(Command::Kind::kKeysUse, 504, "{}") == 75);
  CHECK(code(Command::Kind::kMembers, 200, "<html>") == 1);
  CHECK(code(Command::Kind::kKeysUse, 200, admin::to_json(admin::KeysAnswer{{}, 2, 2, {}})) == 0);
  CHECK(code(Command::Kind::kKeysUse, 200, admin::to_json(admin::KeysAnswer{{}, 2, 1, {}})) == 1);
  const ControlOutcome part = tell_answer(command_of(Command::Kind::kKeysInstall), 200,
                                          admin::to_json(admin::KeysAnswer{{}, 2, 2, {{"web\x1b", "no"}}}));
  CHECK(part.exit_code == 1);
  CHECK(part.out == "done by 1 of 2 members\n");
  REQUIRE(part.errors.size() == 1);
  CHECK(part.errors[0] == "web?: no");
}

TEST_CASE("health is 0 or 1, says why on stderr, and believes no answer that contradicts itself") {
  const auto told = [](int status, const std::string& body, bool ready = false, bool json = false) {
    Command command = command_of(Command::Kind::kHealth, json);
    command.ready = ready;
    return tell_answer(command, status, body);
  };
  const std::string well = R"({"healthy":true,"reason":"in rotation"})",
                    ill = R"({"healthy":false,"reason":"a\u001b"})";
  CHECK(told(200, well).exit_code == 0);
  CHECK(told(200, well).out == "healthy: in rotation\n");
  CHECK(told(200, well, true).out == "ready: in rotation\n");
  CHECK(told(200, well, false, true).out == well + "\n");
  const ControlOutcome red = told(503, ill, true);
  CHECK(red.exit_code == 1);
  CHECK(red.out.empty());
  CHECK(red.errors == std::vector<std::string>{"not ready: a?"});
  CHECK(told(503, ill, false, true).out == ill + "\n");
  CHECK(told(200, ill).exit_code == 1);
  CHECK(told(200, ill).errors[0].find("no shoal") != std::string::npos);
  CHECK(told(503, well).exit_code != 0);
  CHECK(told(404, R"({"error":"there is no such path"})").errors[0] == "there is no such path");
  CHECK(told(200, "{}").exit_code == 1);
}

TEST_CASE("health of a shoal that is not there, or is silent, is 1 within its deadline") {
  config::Loaded loaded;
  loaded.config.control.kind = config::Control::Kind::kSocket;
  loaded.config.control.socket = socket_name() + "/nobody";
  Command command = command_of(Command::Kind::kHealth);
  command.timeout = 50ms;
  CHECK(run_control_command(command, loaded, 0).exit_code == 1);
  Fixture f;  // Its loop does not turn.
  loaded.config.control.socket = socket_name();
  const ControlOutcome silent = run_control_command(command, loaded, 0);
  CHECK(silent.exit_code == 1);
  CHECK(silent.errors[0] == socket_name() + ": no answer in 50ms; it is busy or hangs");
  command.kind = Command::Kind::kStatus;
  CHECK(run_control_command(command, loaded, 0).exit_code == 75);
}

TEST_CASE("a status is one screen, the troubled first, and says what it leaves out") {
  admin::Status status = named("web\x1b");
  status.role = "task";
  status.uptime_ms = 3'725'000;
  status.ready = {false, "why\x1b not"};
  admin::TaskStatus& task = status.task.emplace();
  task.state = "ready";
  task.workers = {{7, 1, "running", 5000}};
  task.accept_queue = admin::AcceptQueue{2, 128, 5};
  task.sidecars.resize(20);
  for (std::size_t i = 0; i < task.sidecars.size(); ++i) task.sidecars[i].name = "proxy-" + std::to_string(i);
  task.sidecars_left_out = 3;
  const std::string text = status_text(status);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("ready         NO, why? not\n") != std::string::npos);
  CHECK(text.find("up 1h2m") != std::string::npos);
  CHECK(text.find("2 waiting, room for 128") != std::string::npos);
  CHECK(text.find("proxy-11 ") != std::string::npos);
  CHECK(text.find("proxy-12") == std::string::npos);
  CHECK(text.find("and 11 more\n") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') <= 26);
  CHECK(tell_answer(command_of(Command::Kind::kStatus), 200, admin::to_json(status)).out == text);
  CHECK(tell_answer(command_of(Command::Kind::kStatus, true), 200, admin::to_json(status)).out ==
        admin::to_json(status) + "\n");
  CHECK(tell_answer(command_of(Command::Kind::kStatus), 200, "[]").exit_code == 1);

  admin::Status of_sidecar;
  admin::SidecarStatus& sidecar = of_sidecar.sidecar.emplace();
  sidecar.dry_run = true;
  sidecar.proxies.resize(2);
  sidecar.proxies[0] = {"/run/a", true, "", "2.6.12", 9, "", 3, 1, 4, 0, 5, 1500, 77, 2, 0, 0, 1};
  sidecar.proxies[1].socket = "/run/b";
  sidecar.proxies[1].reason = "no such socket";
  sidecar.held = {{"shoal-a-1", "web", "", "/run/a"}};
  const std::string shown = status_text(of_sidecar);
  CHECK(shown.find("/run/a  2.6.12   9    3        1    4        0        1s        77    2\n") != std::string::npos);
  CHECK(shown.find("/run/a: 5 taken out by hand") != std::string::npos);
  CHECK(shown.find("/run/b  away     -    ?") != std::string::npos);
  CHECK(shown.find("/run/b is away: no such socket\n") != std::string::npos);
  CHECK(shown.find("/run/a: 1 old processes") != std::string::npos);
  CHECK(shown.find("shoal-a-1         web   -     /run/a\n") != std::string::npos);
  CHECK(shown.find("a dry run") != std::string::npos);
}

TEST_CASE("an age is as long as it needs to be") {
  CHECK(age_text(-5) == "0ms");
  CHECK(age_text(999) == "999ms");
  CHECK(age_text(59'999) == "59s");
  CHECK(age_text(125'000) == "2m5s");
  CHECK(age_text(86'399'000) == "23h59m");
  CHECK(age_text(93'600'000) == "1d2h");
}

TEST_CASE("keys are listed in columns, and as JSON as they came") {
  const admin::KeysAnswer keys{{{"AAA=", 3, 2}, {"B=", 1, 0}}, 3, 3, {}};
  CHECK(keys_text(keys, true) == "KEY   NODES  PRIMARY\nAAA=  3/3    2/3\nB=    1/3    0/3\n");
  CHECK(tell_answer(command_of(Command::Kind::kKeysList, true), 200, admin::to_json(keys)).out ==
        admin::to_json(keys) + "\n");
}

TEST_CASE("nothing of a member reaches a terminal but letters") {
  CHECK(plain_text("a\x1b[2J\n\x7f\xc2\x9b\xffü") == "a?[2J????ü");
  CHECK(columns({{"ü", "b"}, {"xyz", "c"}}) == "ü    b\nxyz  c\n");
}

TEST_CASE("default places are read as they are made, and only those that fit the settings are looked at") {
  const std::vector<std::string> places = default_control_sockets("task", 7947);
  CHECK(places == std::vector<std::string>{"/run/shoal/task-7947.sock", "@shoal/task-7947"});
  for (const std::string& place : places) {
    const auto parsed = parse_control_socket(place);
    REQUIRE(parsed.has_value());
    CHECK(parsed->role == "task");
    CHECK(parsed->gossip_port == 7947);
  }
  for (const char* bad : {"@shoal/task-", "@shoal/task-x", "@shoal/other-1", "@shoal/task-70000", "@shoal/notify/1",
                          "/run/shoal/task-1", "/tmp/task-1.sock", "/run/shoal/.sock", ""})
    CHECK_FALSE(parse_control_socket(bad).has_value());
  config::Loaded loaded;
  const std::vector<std::string> all = {"@shoal/task-7947", "@shoal/sidecar-7946", "@shoal/task-7948", "@shoal/junk"};
  CHECK(fitting_places(all, loaded).size() == 3);
  loaded.config.role = config::Role::kTask;
  CHECK(fitting_places(all, loaded).size() == 2);
  loaded.config.gossip.bind.port = 7948;
  CHECK(fitting_places(all, loaded).size() == 2);  // A default.
  loaded.values.push_back(
      {config::find_setting("gossip.bind"), {}, {"0.0.0.0:7948"}, {config::Origin::Kind::kFlag, "--bind", 0}});
  REQUIRE(fitting_places(all, loaded).size() == 1);
  CHECK(fitting_places(all, loaded)[0].socket == "@shoal/task-7948");
}
