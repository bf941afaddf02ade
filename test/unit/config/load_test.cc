#include "config/load.h"

#include <doctest/doctest.h>

#include <csignal>
#include <variant>

#include "config/cli.h"

using namespace shoal;
using namespace shoal::config;

namespace {

/// A run as the program makes it: arguments, a file's text, variables.
struct Run {
  std::vector<std::string> arguments = {"task", "--join", "10.0.0.1", "--", "./w"};
  std::optional<std::string> file;
  std::vector<std::string> variables;
  bool role_needed = true;

  [[nodiscard]] Loaded load() const {
    const auto parsed = parse_command_line(arguments);
    REQUIRE(std::holds_alternative<Command>(parsed));
    const Command& command = *std::get_if<Command>(&parsed);
    Sources sources;
    if (file) sources.file_name = "shoal.toml";
    sources.file_text = file;
    sources.environment = variables;
    sources.flags = command.flags;
    sources.role = command.role;
    sources.role_needed = role_needed;
    sources.hostname = "host-7";
    sources.random_hex = "0abcd";
    return config::load(sources);
  }
};

Config good(const Run& run) {
  Loaded loaded = run.load();
  for (const Problem& error : loaded.errors) FAIL_CHECK(error.text);
  return std::move(loaded.config);
}

/// The one error of a run.
std::string error(const Run& run) {
  const Loaded loaded = run.load();
  std::string all;
  for (const Problem& one : loaded.errors) all += one.text + "\n";
  CAPTURE(all);
  REQUIRE(loaded.errors.size() == 1);
  return loaded.errors[0].text;
}

Run sidecar(std::optional<std::string> file = std::nullopt) { return Run{{"sidecar"}, std::move(file), {}}; }

std::string origin_of(const Loaded& loaded, std::string_view key) {
  for (const Given& value : loaded.values) {
    if (value.setting->key == key) return to_text(value.origin);
  }
  return "none";
}

}  // namespace

TEST_CASE("defaults are those of the design") {
  const Config task = good(Run{});
  CHECK(task.role == Role::kTask);
  CHECK(task.node.name == "node-host-7-0abcd");
  CHECK(task.gossip.profile == Profile::kLan);
  CHECK(task.gossip.members_max == 10000);
  CHECK(task.gossip.reap_after == Duration(10min));
  CHECK(task.gossip.allow.empty());
  CHECK(task.gossip.advertise.kind == Advertise::Kind::kAuto);
  CHECK_FALSE(task.gossip.timing.probe_interval.has_value());
  CHECK(to_text(task.task.listen).view() == "0.0.0.0:0");
  CHECK(task.task.weight == 100);
  CHECK(task.task.drain_timeout == Duration(30s));
  CHECK(task.task.stop_timeout == Duration(30s));
  CHECK_FALSE(task.task.advertise_port.has_value());
  CHECK(task.worker.command == std::vector<std::string>{"./w"});
  CHECK(task.worker.ready == Ready::kAuto);
  CHECK(task.worker.ready_timeout == Duration(60s));
  CHECK(task.worker.stop_signal == SIGTERM);
  CHECK(task.worker.signal_scope == SignalScope::kGroup);
  CHECK(task.worker.restart == Restart::kNever);
  CHECK(task.worker.backlog_wait == Duration{});
  CHECK(task.worker.on_hup == OnHup::kRenew);
  CHECK(task.warnings.empty());
  const Config proxy = good(sidecar());
  REQUIRE(proxy.haproxy.sockets.size() == 1);
  CHECK(proxy.haproxy.sockets[0].name == "/var/run/haproxy/admin.sock");
  CHECK(proxy.haproxy.backend == "shoal");
  CHECK(proxy.haproxy.verify == Verify::kConnect);
  CHECK(proxy.haproxy.server_prefix == "shoal-");
  CHECK(proxy.haproxy.reconcile_interval == Duration(5s));
  CHECK(proxy.haproxy.grace == Duration(30s));
  CHECK(proxy.haproxy.removal_floor == 50);
  CHECK(proxy.sidecar.solicit_interval == Duration(30s));
  CHECK(proxy.log.level == LogLevel::kInfo);
  CHECK(proxy.log.format == LogFormatChoice::kAuto);
}

TEST_CASE("what becomes of a worker that ends or is renewed is a choice") {
  Run run;
  run.file = "[worker]\nrestart = 'on-failure'\nbacklog_wait = '2s'\non_hup = 'forward'\nsignal_scope = 'leader'\n";
  const Config task = good(run);
  CHECK(task.worker.restart == Restart::kOnFailure);
  CHECK(task.worker.backlog_wait == Duration(2s));
  CHECK(task.worker.on_hup == OnHup::kForward);
  CHECK(task.worker.signal_scope == SignalScope::kLeader);
  run.variables = {"SHOAL_WORKER_RESTART=always"};
  CHECK(good(run).worker.restart == Restart::kAlways);
}

TEST_CASE("flag beats environment beats file beats default, and print knows which") {
  Run run;
  const auto weight = [&] { return good(run).task.weight; };
  const auto origin = [&] { return origin_of(run.load(), "task.weight"); };
  CHECK(weight() == 100);
  CHECK(origin() == "default");
  run.file = "[task]\nweight = 10\n";
  CHECK(weight() == 10);
  CHECK(origin() == "shoal.toml:2");
  run.variables = {"SHOAL_TASK_WEIGHT=20"};
  CHECK(weight() == 20);
  CHECK(origin() == "env SHOAL_TASK_WEIGHT");
  run.arguments.insert(run.arguments.begin() + 1, {"--weight", "30"});
  CHECK(weight() == 30);
  CHECK(origin() == "--weight");
}

TEST_CASE("HAProxy's command stands after --, in the file or in the environment, words untouched") {
  Run run = sidecar();
  CHECK(good(run).haproxy.command.empty());
  run.file = "[haproxy]\ncommand = ['haproxy', '-f', '{addr}']\n";
  CHECK(good(run).haproxy.command == std::vector<std::string>{"haproxy", "-f", "{addr}"});
  run.variables = {R"(SHOAL_HAPROXY_COMMAND=["haproxy","-W"])"};
  CHECK(good(run).haproxy.command == std::vector<std::string>{"haproxy", "-W"});
  run.arguments = {"sidecar", "--", "haproxy", "-W", "-db"};
  CHECK(good(run).haproxy.command == std::vector<std::string>{"haproxy", "-W", "-db"});
  CHECK(origin_of(run.load(), "haproxy.command") == "after --");
  // Where only the file knows the role, it says whose command it is.
  run.arguments = {"-c", "shoal.toml", "--", "haproxy", "-db"};
  run.file = "role = 'sidecar'\n";
  CHECK(good(run).haproxy.command == std::vector<std::string>{"haproxy", "-db"});
  CHECK(good(run).worker.command.empty());
  run.file = "role = 'task'\n";
  CHECK(good(run).worker.command == std::vector<std::string>{"haproxy", "-db"});
}

TEST_CASE("a HAProxy that would go into the background is refused") {
  Run run = sidecar();
  run.arguments = {"sidecar", "--", "haproxy", "-W", "-D"};
  CHECK(error(run).find("after --: haproxy.command = [\"haproxy\", \"-W\", \"-D\"]: has -D") == 0);
}

TEST_CASE("a list from a stronger source replaces the weaker one whole") {
  Run run;
  run.file = "[gossip]\njoin = ['a', 'b', 'c']\n";
  run.variables = {"SHOAL_GOSSIP_JOIN=d,e"};
  REQUIRE(good(run).gossip.join.size() == 1);
  CHECK(good(run).gossip.join[0].text == "10.0.0.1");
  run.arguments = {"task", "--", "./w"};
  CHECK(good(run).gossip.join.size() == 2);
  run.variables.clear();
  CHECK(good(run).gossip.join.size() == 3);
}

TEST_CASE("a bad value in a source that is overridden does not matter, in the one that counts it does") {
  Run run;
  run.file = "[task]\nweight = 999\n";
  CHECK(error(run) == "shoal.toml:2: task.weight = 999: must be a whole number from 1 to 256");
  run.variables = {"SHOAL_TASK_WEIGHT=0"};
  CHECK(error(run) == "env SHOAL_TASK_WEIGHT: task.weight = 0: must be a whole number from 1 to 256");
  run.arguments.insert(run.arguments.begin() + 1, {"--weight", "x"});
  CHECK(error(run) == "--weight: task.weight = \"x\": must be a whole number from 1 to 256");
}

TEST_CASE("messages name place, setting, value and fix") {
  const auto in_file = [](const char* text) { return error(sidecar(text)); };
  CHECK(in_file("[haproxy]\ngrace = '9s'\n") == "shoal.toml:2: haproxy.grace = \"9s\": must be from 10s to 24h");
  CHECK(in_file("[haproxy]\ngrace = '9'\n") ==
        "shoal.toml:2: haproxy.grace = \"9\": is no duration; write it as 500ms, 30s or 1m30s");
  CHECK(in_file("[haproxy]\nverify = 'check'\nserver_options = 'maxconn 5'\n").find("has no `check`, which") !=
        std::string::npos);
  CHECK(in_file("[haproxy]\nverify = 'check'\n[haproxy.pool.web]\nserver_options = 'check-ssl'\n")
            .find("has no `check`, which") != std::string::npos);
  CHECK(good(sidecar("[haproxy]\nverify = 'check'\n")).haproxy.verify == Verify::kCheck);
  CHECK(in_file("[haproxy]\nsocket = []\n").find("must be 1 to 8 sockets") != std::string::npos);
  CHECK(in_file("[haproxy]\nsocket = ['/1','/2','/3','/4','/5','/6','/7','/8','/9']\n").find("1 to 8") !=
        std::string::npos);
  CHECK(in_file("[haproxy]\nsocket = ['/a', '/b', '/a']\n").find("\"/a\" twice") != std::string::npos);
  CHECK(in_file("[haproxy]\nsocket = ['/a', 'tcp@127.0.0.1:1']\n").find("\"tcp@127.0.0.1:1\" begins with \"tcp@\"") !=
        std::string::npos);
  for (const char* const bad : {"101%", "-1%", "50 %", "%", "", "half"}) {
    const std::string text = std::string("[haproxy]\nremoval_floor = '") + bad + "'\n";
    CHECK(in_file(text.c_str()).find("write it as 0% to 100%") != std::string::npos);
  }
  CHECK(good(sidecar("[haproxy]\nremoval_floor = '0%'\n")).haproxy.removal_floor == 0);
  CHECK(good(sidecar("[haproxy]\nremoval_floor = '100'\n")).haproxy.removal_floor == 100);
  CHECK(in_file("[haproxy]\nserver_prefix = ''\n").find("1 to 32 characters") != std::string::npos);
  CHECK(in_file("[haproxy]\nserver_options = 'weight 5'\n").find("task.weight") != std::string::npos);
  CHECK(in_file("[haproxy]\nbackends = ['a b']\n").find("\"a b\" is no pool name") != std::string::npos);
  CHECK(in_file("[gossip]\nallow = ['10.0.0.0/33']\n").find("\"10.0.0.0/33\" is no address range") !=
        std::string::npos);
  CHECK(in_file("[node]\ntags = { role = 'x' }\n").find("which is shoal's own") != std::string::npos);
  CHECK(in_file("[node]\nname = \"a\\u0001b\"\n") ==
        "shoal.toml:2: node.name = \"a\\u0001b\": has a control character in it");
  Run run;
  run.file = "[worker]\nready = 'http:healthz'\n";
  CHECK(error(run).find("write it as http:/healthz") != std::string::npos);
  run.file = "[worker]\nready = 'atuo'\n";
  CHECK(error(run).find("did you mean auto?") != std::string::npos);
  run.file.reset();
  run.arguments = {"task", "--join", "a", "--", "./w", "--port={prt}"};
  CHECK(error(run) ==
        "after --: worker.command = [\"./w\", \"--port={prt}\"]: has the placeholder {prt}, which is none of {addr}, "
        "{port}, {fd}; for a brace itself write {{");
}

TEST_CASE("a worker that binds its port itself is given no descriptor to name") {
  Run run;
  run.arguments = {"task", "--join", "a", "--worker-socket", "reserve", "--", "./w", "--fd={fd}"};
  CHECK(error(run).find(
            "--fd={fd}\"]: has {fd}, but with this worker.socket the worker gets no descriptor; write {port}") !=
        std::string::npos);
  run.arguments[4] = "reserve-close";
  CHECK(error(run).find("gets no descriptor") != std::string::npos);
  run.arguments[4] = "pass";
  CHECK(good(run).worker.socket == WorkerSocket::kPass);
  run.arguments = {"task", "--join", "a", "--worker-socket", "reserve", "--", "./w", "--port={port}", "{{fd}"};
  CHECK(good(run).worker.socket == WorkerSocket::kReserve);
  CHECK(good(run).worker.on_hup == OnHup::kForward);
  run.file = "[worker]\non_hup = 'renew'\n";
  CHECK(error(run).find("two generations of the worker cannot listen on one port") != std::string::npos);
  run.file = "[worker]\nbacklog_wait = '1s'\n";
  CHECK(error(run).find("worker.backlog_wait = \"1s\": needs worker.socket") != std::string::npos);
  run.arguments[4] = "pass";
  CHECK(good(run).worker.on_hup == OnHup::kRenew);
  run.arguments[4] = "close";
  CHECK(error(run).find("is none of pass, reserve, reserve-close") != std::string::npos);
}

TEST_CASE("the same tag twice is refused, from flags too") {
  Run run;
  run.arguments = {"task", "--join", "a", "--tag", "x=1", "--tag", "x=2", "--", "./w"};
  CHECK(error(run).find("the tag \"x\" twice") != std::string::npos);
}

TEST_CASE("a role that differs from the subcommand is an error, the same one is not") {
  Run run = sidecar("role = 'task'\n");
  CHECK(error(run) ==
        "shoal.toml:1: role = \"task\": differs from the command, which says sidecar; remove one of the two");
  run.file = "role = 'sidecar'\n";
  CHECK(good(run).role == Role::kSidecar);
  run.variables = {"SHOAL_ROLE=task"};
  CHECK(error(run).find("env SHOAL_ROLE: role = \"task\": differs") == 0);
}

TEST_CASE("the role may come from the file or the environment, and a run needs one") {
  Run run{{"-c", "shoal.toml"}, "role = 'sidecar'\n", {}};
  CHECK(good(run).role == Role::kSidecar);
  run.file = "";
  CHECK(error(run).find("role is not set: write `shoal sidecar`") == 0);
  run.variables = {"SHOAL_ROLE=sidecar"};
  CHECK(good(run).role == Role::kSidecar);
  run.variables.clear();
  run.role_needed = false;
  CHECK_FALSE(good(run).role.has_value());
}

TEST_CASE("a file that cannot be read is an error that says why") {
  Sources sources;
  sources.role = Role::kSidecar;
  sources.file_name = "/nope.toml";
  sources.file_error = "No such file or directory";
  const Loaded loaded = load(sources);
  REQUIRE(loaded.errors.size() == 1);
  CHECK(loaded.errors[0].text.find("/nope.toml: cannot be read: No such file or directory") == 0);
}

TEST_CASE("a task needs a command; a check of its file alone only mentions it") {
  Run run{{"task", "--join", "a"}, std::nullopt, {}};
  CHECK(error(run).find("worker.command is not set: ") == 0);
  run.role_needed = false;
  const Config config = good(run);
  REQUIRE(config.warnings.size() == 1);
  CHECK(config.warnings[0].find("worker.command is not set") == 0);
}

TEST_CASE("a task without seeds is warned") {
  const Config config = good(Run{{"task", "--", "./w"}, std::nullopt, {}});
  REQUIRE(config.warnings.size() == 1);
  CHECK(config.warnings[0].find("gossip.join is not set") == 0);
}

TEST_CASE("settings of the other role: a warning from file and environment, an error from a flag") {
  Run run = sidecar("[task]\nweight = 5\n");
  run.variables = {"SHOAL_TASK_BACKEND=web"};
  const Config config = good(run);
  REQUIRE(config.warnings.size() == 2);
  CHECK(config.warnings[0] == "env SHOAL_TASK_BACKEND: task.backend = \"web\": has no effect in a sidecar");
  CHECK(config.warnings[1] == "shoal.toml:2: task.weight = 5: has no effect in a sidecar");
  Run flag{{"-c", "shoal.toml", "--weight", "5"}, "role = 'sidecar'\n", {}};
  CHECK(error(flag).find("--weight: task.weight = 5: has no effect in a sidecar; leave the flag out") == 0);
}

TEST_CASE("gossip's port is 7946 for a sidecar and looked for by a task") {
  CHECK(good(sidecar()).gossip.bind.port == 7946);
  CHECK_FALSE(good(Run{}).gossip.bind.port.has_value());
  CHECK(to_text(good(Run{}).gossip.bind.addr).view() == "0.0.0.0");
  Run run;
  run.variables = {"SHOAL_GOSSIP_BIND=127.0.0.1:9000"};
  CHECK(good(run).gossip.bind.port == 9000);
  run = sidecar("[gossip]\nbind = '[::]'\n");
  CHECK(good(run).gossip.bind.port == 7946);
}

TEST_CASE("a probe's timeout above its interval is refused, against the profile's value too") {
  CHECK(error(sidecar("[gossip.timing]\nprobe_interval = '100ms'\nprobe_timeout = '200ms'\n"))
            .find("is longer than its interval (100ms)") != std::string::npos);
  CHECK(error(sidecar("[gossip.timing]\nprobe_interval = '400ms'\n"))
            .find("shoal.toml:2: gossip.timing.probe_interval = \"400ms\": the probe's timeout (500ms)") == 0);
  const Config config = good(sidecar("gossip.profile = 'local'\n[gossip.timing]\nprobe_interval = '400ms'\n"));
  CHECK(config.gossip.timing.probe_interval == Duration(400ms));
  CHECK(good(sidecar("gossip.profile = 'wan'\n")).gossip.profile == Profile::kWan);
}

TEST_CASE("the default pool must be among the allowed ones") {
  CHECK(error(sidecar("[haproxy]\nbackend = 'web'\nbackends = ['api']\n")).find("is not among haproxy.backends") !=
        std::string::npos);
  CHECK(good(sidecar("[haproxy]\nbackend = 'web'\nbackends = ['api', 'web']\n")).warnings.empty());
  CHECK(good(sidecar("[haproxy]\nbackends = ['api']\n")).warnings.size() == 1);
}

TEST_CASE("each pool may have options of its own, checked like the general ones") {
  const Config config = good(
      sidecar("[haproxy.pool.web]\nserver_options = 'check  maxconn 9'\n[haproxy.pool.'a.b']\nserver_options = ''\n"));
  REQUIRE(config.haproxy.pools.size() == 2);
  for (const PoolOptions& pool : config.haproxy.pools) {
    if (pool.pool == "web") CHECK(pool.server_options == "check maxconn 9");
    if (pool.pool == "a.b") CHECK(pool.server_options.empty());
  }
  CHECK(error(sidecar("[haproxy.pool.web]\nserver_options = 'maxconn x'\n"))
            .find("shoal.toml:2: haproxy.pool.web.server_options = \"maxconn x\": option \"maxconn\"") == 0);
  CHECK(error(sidecar("[haproxy.pool.'a b']\nserver_options = 'check'\n")).find("\"a b\" is no pool name") !=
        std::string::npos);
  CHECK(good(sidecar("[haproxy]\nbackend='web'\nbackends=['web']\n[haproxy.pool.api]\nserver_options=''\n"))
            .warnings.size() == 1);
}

TEST_CASE("an own address outside the allowed ones is warned of") {
  CHECK(good(sidecar("[gossip]\nadvertise = '192.168.0.1'\nallow = ['10.0.0.0/8']\n")).warnings.size() == 1);
  CHECK(good(sidecar("[gossip]\nadvertise = '10.1.0.1'\nallow = ['10.0.0.0/8']\n")).warnings.empty());
}

TEST_CASE("all errors are reported at once") {
  Run run = sidecar("[haproxy]\ngrace = '1s'\nnonsense = 1\n[gossip]\nprofile = 'x'\n");
  run.variables = {"SHOAL_LOG_LEVEL=loud"};
  CHECK(run.load().errors.size() == 4);
}

TEST_CASE("a host name that cannot be told still gives a node name") {
  Sources sources;
  sources.role = Role::kSidecar;
  sources.random_hex = "00000";
  CHECK(load(sources).config.node.name == "node-localhost-00000");
  sources.hostname = "a\nb";
  CHECK(load(sources).config.node.name == "node-a_b-00000");
  sources.hostname = std::string(300, 'h');
  CHECK(load(sources).config.node.name.size() <= 255);
}

TEST_CASE("gossip.key is decoded, of three lengths, and an error never shows it") {
  CHECK(good(Run{}).gossip.key.empty());
  const auto key_of = [](const std::string& text) {
    return good(sidecar("[gossip]\nkey = '" + text + "'\n")).gossip.key;
  };
  CHECK(key_of("AAECAwQFBgcICQoLDA0ODw==") ==
        std::vector<std::uint8_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  CHECK(key_of("AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").size() == 24);
  CHECK(key_of("T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s=").size() == 32);

  Run run = sidecar();
  for (const std::string secret :
       {"c2VjcmV0", "hunter2-hunter2", "AAECAwQFBgcICQoLDA0ODx==", "AAECAwQFBgcICQoLDA0ODw"}) {
    run.variables = {"SHOAL_GOSSIP_KEY=" + secret};
    const std::string text = error(run);
    CHECK(text.find("env SHOAL_GOSSIP_KEY: gossip.key = (secret): ") == 0);
    CHECK(text.find("shoal keygen") != std::string::npos);
    CHECK(text.find(secret) == std::string::npos);
  }
}

TEST_CASE("a key and a keyring file together are an error that says which to drop") {
  Run run = sidecar("[gossip]\nkeyring_file = '/k.json'\n");
  CHECK(good(run).gossip.keyring_file == "/k.json");
  run.variables = {"SHOAL_GOSSIP_KEY=T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="};
  const std::string text = error(run);
  CHECK(text.find("gossip.keyring_file is set too (shoal.toml:2)") != std::string::npos);
  CHECK(text.find("drop gossip.key") != std::string::npos);
}

TEST_CASE("a sidecar keeps a snapshot unless told otherwise, a task only if told so") {
  CHECK(good(sidecar()).gossip.snapshot_dir == "./serf-snapshots");
  CHECK(good(sidecar("[gossip]\nsnapshot_dir = ''\n")).gossip.snapshot_dir.empty());
  CHECK(good(Run{{"sidecar", "--snapshot-dir", "off"}, {}, {}}).gossip.snapshot_dir.empty());
  CHECK(good(Run{}).gossip.snapshot_dir.empty());
  CHECK(good(Run{{"task", "--join", "a", "--snapshot-dir", "/s", "--", "./w"}, {}, {}}).gossip.snapshot_dir == "/s");
}

TEST_CASE("the label has at most 255 bytes and none of control") {
  CHECK(good(Run{}).gossip.label.empty());
  CHECK(good(sidecar("[gossip]\nlabel = 'blue'\n")).gossip.label == "blue");
  CHECK(good(sidecar("[gossip]\nlabel = '" + std::string(255, 'x') + "'\n")).gossip.label.size() == 255);
  CHECK(error(sidecar("[gossip]\nlabel = '" + std::string(256, 'x') + "'\n")).find("at most 255") != std::string::npos);
  CHECK(error(sidecar("[gossip]\nlabel = \"a\\nb\"\n")).find("control character") != std::string::npos);
}

TEST_CASE("each HAProxy has a socket of its own form") {
  const auto sockets = good(sidecar("[haproxy]\nsocket = ['/a.sock', 'ipv4@10.0.0.1:99', 'ipv6@[::1]:98', 'abns@x/y',"
                                    " 'master@/m.sock', '/with@sign']\n"))
                           .haproxy.sockets;
  using Kind = RuntimeSocket::Kind;
  REQUIRE(sockets.size() == 6);
  CHECK(sockets[0].kind == Kind::kPath);
  CHECK(sockets[0].name == "/a.sock");
  CHECK_FALSE(sockets[0].is_master);
  CHECK(sockets[1].kind == Kind::kTcp);
  CHECK(to_text(sockets[1].place).view() == "10.0.0.1:99");
  CHECK(to_text(sockets[2].place).view() == "[::1]:98");
  CHECK(sockets[3].kind == Kind::kAbstract);
  CHECK(sockets[3].name == "@x/y");
  CHECK(sockets[4].kind == Kind::kPath);
  CHECK(sockets[4].is_master);
  CHECK(sockets[4].name == "/m.sock");
  CHECK(sockets[4].text == "master@/m.sock");
  CHECK(sockets[5].name == "/with@sign");
}

TEST_CASE("serf's RPC is off, or at an address, with a key where others than this host reach it") {
  const auto rpc = [](const std::string& text) { return good(sidecar("[rpc]\n" + text)).rpc; };
  CHECK_FALSE(good(Run{}).rpc.bind.has_value());
  CHECK_FALSE(rpc("bind = 'off'\n").bind.has_value());
  CHECK(to_text(*rpc("bind = '127.0.0.1'\n").bind).view() == "127.0.0.1:7373");
  CHECK(to_text(*rpc("bind = '[::1]:0'\n").bind).view() == "[::1]:0");
  CHECK(rpc("bind = '0.0.0.0:7373'\nauth_key = 'hunter2'\n").auth_key == "hunter2");
  const std::string open = error(sidecar("[rpc]\nbind = '0.0.0.0'\n"));
  CHECK(open.find("rpc.bind") != std::string::npos);
  CHECK(open.find("set rpc.auth_key, or bind 127.0.0.1") != std::string::npos);
  for (const char* wrong :
       {"bind = 'localhost:7373'\n", "bind = '127.0.0.1:x'\n", "bind = ''\n", "bind = '224.0.0.1'\n"}) {
    CAPTURE(wrong);
    CHECK(error(sidecar(std::string("[rpc]\n") + wrong)).find("127.0.0.1:7373") != std::string::npos);
  }
  CHECK(error(sidecar("[rpc]\nbind = '127.0.0.1'\nauth_key = ''\n")).find("1 to 255 bytes") != std::string::npos);
  const Config alone = good(sidecar("[rpc]\nauth_key = 'hunter2'\n"));
  REQUIRE(alone.warnings.size() == 1);
  CHECK(alone.warnings[0].find("rpc.bind is off") != std::string::npos);
  CHECK(alone.warnings[0].find("hunter2") == std::string::npos);
}

TEST_CASE("the control socket is a path, an abstract name, or off") {
  using Kind = Control::Kind;
  CHECK(good(Run{}).control.kind == Kind::kAuto);
  const auto control = [](const std::string& text) {
    return good(sidecar("[control]\nsocket = '" + text + "'\n")).control;
  };
  CHECK(control("off").kind == Kind::kOff);
  CHECK(control("/run/x.sock").kind == Kind::kSocket);
  CHECK(control("/run/x.sock").socket == "/run/x.sock");
  CHECK(control("@x").socket == "@x");
  CHECK(control("@" + std::string(107, 'x')).kind == Kind::kSocket);
  const auto refused = [](const std::string& text) { return error(sidecar("[control]\nsocket = '" + text + "'\n")); };
  CHECK(refused("x.sock").find("is no path of a UNIX socket") != std::string::npos);
  CHECK(refused("@").find("is no abstract name") != std::string::npos);
  CHECK(refused("@" + std::string(108, 'x')).find("is no abstract name") != std::string::npos);
  CHECK(refused("/" + std::string(107, 'x')).find("at most 107") != std::string::npos);
}

TEST_CASE("what proves nothing about a worker is refused, with what does") {
  const auto refused = [](std::string_view lines) {
    Run run;
    run.file = std::string(lines);
    return error(run);
  };
  CHECK(refused("[worker]\nready = 'tcp'\n").find("use auto") != std::string::npos);
  CHECK(refused("[worker]\nhealth = 'tcp'\n").find("use queue") != std::string::npos);
  CHECK(refused("[worker]\nready = 'delay:60s'\n").find("worker.ready_timeout") != std::string::npos);
  CHECK(refused("[worker]\nsocket = 'reserve'\nhealth = 'queue'\n").find("use tcp") != std::string::npos);
  CHECK(refused("[worker]\nsocket = 'reserve'\n[task]\nadaptive_weight = true\n").find("worker.socket") !=
        std::string::npos);
  Run run;
  run.file = "[worker]\nsocket = 'reserve'\nready = 'tcp'\nhealth = 'tcp'\n";
  CHECK(good(run).worker.ready == Ready::kTcp);
  run.file = "[worker]\nready = 'delay:59s'\nhealth = 'queue'\n[task]\nadaptive_weight = true\n";
  CHECK(good(run).worker.health == WorkerHealth::kQueue);
  CHECK(good(run).task.adaptive_weight);
}

TEST_CASE("settings of a health check that is off are said to have no effect") {
  Run run;
  run.file = "[worker]\nhealth_fall = 5\n";
  const Loaded loaded = run.load();
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings[0].text.find("worker.health is off") != std::string::npos);
  run.file = "[worker]\nhealth = 'queue'\nhealth_fall = 5\n";
  CHECK(run.load().warnings.empty());
  CHECK(good(run).worker.health_fall == 5);
  run.file = "[worker]\nhealth = 'queue'\nhealth_timeout = '5s'\n";
  const Loaded queue = run.load();
  REQUIRE(queue.warnings.size() == 1);
  CHECK(queue.warnings[0].text.find("worker.health_interval") != std::string::npos);
}
