#include "haproxy/runtime_codec.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal;
using namespace shoal::haproxy;

namespace {

std::string line_of(const Command& command) {
  std::uint8_t memory[kLineBytesMax];
  ByteWriter out{MutableBytes(memory)};
  if (!encode(command, out)) {
    CHECK(out.size() == 0);
    return "(nothing)";
  }
  return std::string(as_text(out.written()));
}

Command command_for(CommandKind kind) {
  Command command;
  command.kind = kind;
  command.backend = *BackendName::parse("web");
  command.server = *ServerName::parse("shoal-a-1");
  return command;
}

// Captured from HAProxy 2.6.12, nbthread 2, in prompt mode, the prompt cut off.
constexpr std::string_view kStateHead =
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr "
    "srv_agent_port\n";
constexpr std::string_view kStatHead =
    "# "
    "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,"
    "bck,"
    "chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_"
    "status,"
    "check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,"
    "req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,"
    "agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_"
    "fall,"
    "agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,"
    "cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_"
    "cur,"
    "used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,-,ssl_sess,\n";
constexpr std::string_view kStatRow =
    "shoal,v8,3,0,5,0,,0,0,0,,0,,0,0,0,0,MAINT,1,1,0,,,0,,,1,3,77,,0,,2,0,,0,,,,0,0,0,0,0,0,,,,0,0,0,,,,,-1,,,0,0,0,0,,"
    ",,,,"
    ",,,,,,127.0.0.1:1,,http,,,,,,,,0,0,0,,,4,0,0,0,0,0,0,2,0,6,0,1,,,,-,0,\n\n";

}  // namespace

TEST_CASE("Every command is one line of checked words") {
  const ServerOptions options = *ServerOptions::parse("check  inter 2s");
  Command add = command_for(CommandKind::kAddServer);
  add.address = *Endpoint::parse("10.0.0.7:8080");
  add.options = &options;
  CHECK(line_of(add) == "add server web/shoal-a-1 10.0.0.7:8080 weight 0 check inter 2s\n");
  add.id = 77;
  add.address = *Endpoint::parse("[2001:db8::1]:80");
  CHECK(line_of(add) == "add server web/shoal-a-1 [2001:db8::1]:80 weight 0 id 77 check inter 2s\n");
  add.address = *Endpoint::parse("[::ffff:10.0.0.1]:80");
  CHECK(line_of(add).substr(0, 38) == "add server web/shoal-a-1 10.0.0.1:80 w");
  CHECK(line_of(command_for(CommandKind::kEnableHealth)) == "enable health web/shoal-a-1\n");
  CHECK(line_of(command_for(CommandKind::kEnableServer)) == "enable server web/shoal-a-1\n");
  CHECK(line_of(command_for(CommandKind::kDelServer)) == "del server web/shoal-a-1\n");
  Command weight = command_for(CommandKind::kSetWeight);
  weight.weight = 256;
  CHECK(line_of(weight) == "set server web/shoal-a-1 weight 256\n");
  weight.weight = 257;
  CHECK(line_of(weight) == "(nothing)");
  Command state = command_for(CommandKind::kSetState);
  for (const auto& [value, word] : {std::pair{AdminState::kReady, "ready"}, std::pair{AdminState::kDrain, "drain"},
                                    std::pair{AdminState::kMaint, "maint"}}) {
    state.state = value;
    CHECK(line_of(state) == std::string("set server web/shoal-a-1 state ") + word + "\n");
  }
  Command place = command_for(CommandKind::kSetAddress);
  place.address = *Endpoint::parse("10.0.0.7:8080");
  CHECK(line_of(place) == "set server web/shoal-a-1 addr 10.0.0.7 port 8080\n");
  place.address = *Endpoint::parse("[2001:db8::1]:80");
  CHECK(line_of(place) == "set server web/shoal-a-1 addr 2001:db8::1 port 80\n");
  CHECK(line_of(command_for(CommandKind::kShowServersState)) == "show servers state web\n");
  CHECK(line_of(Command{CommandKind::kShowServersState}) == "show servers state\n");
  Command stat = command_for(CommandKind::kShowStat);
  stat.id = 77;
  CHECK(line_of(stat) == "show stat web 4 77\n");
  CHECK(line_of(Command{CommandKind::kShowInfo}) == "show info\n");
  CHECK(line_of(Command{CommandKind::kShowBackend}) == "show backend\n");
}

TEST_CASE("A command with a part missing is not written: no port would make HAProxy connect to itself") {
  const ServerOptions options{};
  Command add = command_for(CommandKind::kAddServer);
  CHECK(line_of(add) == "(nothing)");
  add.options = &options;
  for (const std::string_view bad : {"10.0.0.1:0", "0.0.0.0:80", "[::]:80"}) {
    add.address = *Endpoint::parse(bad);
    CHECK(line_of(add) == "(nothing)");
    Command place = command_for(CommandKind::kSetAddress);
    place.address = add.address;
    CHECK(line_of(place) == "(nothing)");
  }
  CHECK(line_of(Command{CommandKind::kDelServer}) == "(nothing)");
  CHECK(line_of(command_for(CommandKind::kShowStat)) == "(nothing)");
  Command whole = command_for(CommandKind::kDelServer);
  std::uint8_t memory[8];
  ByteWriter small{MutableBytes(memory)};
  CHECK(!encode(whole, small));
  CHECK(small.size() == 0);
}

TEST_CASE("A slot's new address is taken when HAProxy says what has changed, or that nothing had to") {
  for (const std::string_view good :
       {"IP changed from '127.0.0.1' to '10.0.0.7', port changed from '1' to '24500' by 'stats socket command'\n\n",
        "no need to change the addr, port changed from '1' to '24500' by 'stats socket command'\n\n",
        "no need to change the addr, no need to change the port by 'stats socket command'\n\n",
        "port changed from '1' to '24500' by 'stats socket command'\n\n", "nothing changed\n\n"}) {
    CHECK(judge(CommandKind::kSetAddress, good) == Outcome::kDone);
  }
  CHECK(judge(CommandKind::kSetAddress, "Invalid addr 'bad' by 'stats socket command'\n\n") == Outcome::kRefused);
  CHECK(judge(CommandKind::kSetAddress, "No such server.\n\n") == Outcome::kNoSuchServer);
  CHECK(judge(CommandKind::kSetAddress, "") == Outcome::kRefused);
  CHECK(judge(CommandKind::kSetWeight,
              "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n\n") ==
        Outcome::kFixedWeights);
}

TEST_CASE("A name is HAProxy's alphabet and nothing else: each other byte is refused at each place") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                      c == '.' || c == ':' || c == '-';
    for (const std::string& text :
         {std::string("ab") + c, std::string(1, c), c + std::string("ab"), std::string("a") + c + "b"}) {
      CHECK(BackendName::parse(text).has_value() == good);
      CHECK(ServerName::parse(text).has_value() == good);
    }
  }
  CHECK(!BackendName::parse(""));
  CHECK(BackendName::parse(std::string(64, 'x')));
  CHECK(!BackendName::parse(std::string(65, 'x')));
  CHECK(ServerName::parse(std::string(128, 'x')));
  CHECK(!ServerName::parse(std::string(129, 'x')));
}

TEST_CASE("Answers are judged by HAProxy's exact words") {
  struct Row {
    CommandKind kind;
    std::string_view reply;
    Outcome outcome;
  };
  const Row rows[] = {
      {CommandKind::kAddServer, "New server registered.\n", Outcome::kDone},
      {CommandKind::kAddServer, "Ignoring cookie as HTTP mode is disabled.\nNew server registered.\n", Outcome::kDone},
      {CommandKind::kAddServer, "", Outcome::kRefused},
      {CommandKind::kAddServer, "not New server registered.\n", Outcome::kRefused},
      {CommandKind::kAddServer, "Already exists a server with the same name in backend.\n", Outcome::kAlreadyThere},
      {CommandKind::kAddServer, "No such backend.", Outcome::kNoSuchBackend},
      {CommandKind::kAddServer, "Backend must use a dynamic load balancing to support dynamic servers.",
       Outcome::kStaticBalance},
      {CommandKind::kAddServer,
       "Backend does not support dynamic servers : backend 'X' uses a non dynamic load balancing method.\n",
       Outcome::kStaticBalance},
      {CommandKind::kAddServer, "'id' : custom id 77 already used at (null):0 ('server v8').\n", Outcome::kIdTaken},
      {CommandKind::kAddServer, "unknown keyword 'bogus'.\n", Outcome::kRefused},
      {CommandKind::kAddServer, "Permission denied\n", Outcome::kPermissionDenied},
      {CommandKind::kEnableHealth, "", Outcome::kDone},
      {CommandKind::kEnableHealth, "Health check was not configured on this server, cannot enable.\n",
       Outcome::kNoCheck},
      {CommandKind::kEnableServer, "No such server.\n", Outcome::kNoSuchServer},
      {CommandKind::kSetState, "", Outcome::kDone},
      {CommandKind::kSetState, "Permission denied\n", Outcome::kPermissionDenied},
      {CommandKind::kSetWeight, "Absolute weight can only be between 0 and 256 inclusive.\n", Outcome::kRefused},
      {CommandKind::kSetWeight, "No such backend.\n", Outcome::kNoSuchBackend},
      {CommandKind::kDelServer, "Server deleted.", Outcome::kDone},    // 2.6
      {CommandKind::kDelServer, "Server deleted.\n", Outcome::kDone},  // 3.4
      {CommandKind::kDelServer, "", Outcome::kRefused},
      {CommandKind::kDelServer, "No such server.", Outcome::kNoSuchServer},
      {CommandKind::kDelServer, "Only servers in maintenance mode can be deleted.", Outcome::kNotInMaintenance},
      {CommandKind::kDelServer, "Server still has connections attached to it, cannot remove it.", Outcome::kStillUsed},
      {CommandKind::kShowServersState, "Can't find backend.\n", Outcome::kNoSuchBackend},
      {CommandKind::kShowServersState, "", Outcome::kRefused},
      {CommandKind::kShowStat, "No such proxy.\n", Outcome::kNoSuchBackend},
      {CommandKind::kShowBackend, "# name\nshoal\n", Outcome::kDone},
      {CommandKind::kShowInfo, "Name: HAProxy\n", Outcome::kRefused},
  };
  for (const Row& row : rows) {
    CAPTURE(row.reply);
    CHECK(to_text(judge(row.kind, row.reply)) == to_text(row.outcome));
  }
}

TEST_CASE("show info gives identity, version and whether the process is stopping") {
  const std::string_view text =
      "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 5542\nUptime: 0d 0h00m00s\nnode: vm\nStopping: 0\n"
      "Unstoppable Jobs: 0\nBuild info: 2.6.12-1+deb12u4\nStart_time_sec: 1795235379\nTainted: 0\n";
  const auto info = parse_info(text);
  REQUIRE(info);
  CHECK(info->pid == 5542);
  CHECK(info->start_time_sec == 1795235379);
  CHECK(!info->stopping);
  CHECK(info->version == "2.6.12-1+deb12u4");
  CHECK(parse_info("Version: 3\nPid: 1\nStart_time_sec: 2\nStopping: 1\n")->stopping);
  CHECK(!parse_info("Version: 3\nPid: x1\nStart_time_sec: 2\n"));
  for (std::size_t cut = 0; cut < text.find("Start_time_sec: 1"); ++cut) CHECK(!parse_info(text.substr(0, cut)));
}

TEST_CASE("Rows of show servers state, IPv6 and unresolved ones included; damaged rows are counted") {
  const std::string table = std::string(kStateHead) +
                            "3 shoal 1 v6 ::1 2 0 0 0 0 1 0 0 0 0 0 0 - 18082 - 0 0 - - 0\n"
                            "3 shoal 77 v8 127.0.0.1 0 1 10 0 0 1 0 0 0 0 0 1 - 1 - 0 0 - - 0\n"
                            "5 two 1 s1 - 2 32 10 10 1 1 0 2 0 0 0 0 host 18099 - 0 0 - - 0\n"
                            "5 two x s2 127.0.0.1 2 0 10 10 1 1 0 2 0 0 0 0 - 18099 - 0 0 - - 0\n"
                            "5 two 3 s3\n";
  ServerStateReader reader(table);
  REQUIRE(reader.is_table());
  ServerRow row;
  REQUIRE(reader.next(row));
  CHECK(row.backend == "shoal");
  CHECK(row.server == "v6");
  CHECK(row.id == 1);
  CHECK(to_text(row.address) == "[::1]:18082");
  CHECK(row.op_state == 2);
  REQUIRE(reader.next(row));
  CHECK(row.admin == 1);
  CHECK(row.weight == 10);
  CHECK(row.op_state == 0);
  CHECK(to_text(row.address) == "127.0.0.1:1");
  REQUIRE(reader.next(row));
  CHECK(row.address.addr.empty());
  CHECK(row.admin == 32);
  CHECK(!reader.next(row));
  CHECK(reader.malformed() == 2);
  CHECK(!ServerStateReader("2\n# be_id be_name\n").is_table());
  CHECK(!ServerStateReader("").is_table());
  CHECK(!ServerStateReader("1\n# be_id srv_id\n").is_table());
}

TEST_CASE("Counters are found by column name, and only for the server that is meant") {
  const std::string table = std::string(kStatHead) + std::string(kStatRow);
  const auto counters = parse_counters(table, "shoal", "v8");
  REQUIRE(counters);
  CHECK(counters->queued == 3);
  CHECK(counters->sessions == 5);
  CHECK(counters->idle == 2);
  CHECK(counters->used == 6);
  CHECK(!parse_counters(table, "shoal", "v9"));  // Its id was given to another server meanwhile.
  CHECK(!parse_counters(table, "two", "v8"));
  CHECK(!parse_counters(std::string(kStatHead) + "\n", "shoal", "v8"));
  CHECK(!parse_counters("# pxname,svname,qcur,\nshoal,v8,0,\n", "shoal", "v8"));
  CHECK(!parse_counters("", "shoal", "v8"));
  const std::string shuffled = "# pxname,svname,idle_conn_cur,used_conn_cur,scur,qcur\nshoal,v8,1,2,3,4\n";
  CHECK(parse_counters(shuffled, "shoal", "v8")->queued == 4);
}

TEST_CASE("Any cut of a counter table is either no answer or the whole one") {
  const std::string table = std::string(kStatHead) + std::string(kStatRow);
  for (std::size_t cut = 0; cut < table.size(); ++cut) {
    const auto counters = parse_counters(std::string_view(table).substr(0, cut), "shoal", "v8");
    if (counters) CHECK(counters->sessions == 5);
  }
}

TEST_CASE("The list of pools") {
  BackendReader reader("# name\nshoal\nstatic\n\n");
  std::string_view name;
  REQUIRE(reader.next(name));
  CHECK(name == "shoal");
  REQUIRE(reader.next(name));
  CHECK(name == "static");
  CHECK(!reader.next(name));
  CHECK(!BackendReader("Permission denied\n").is_table());
}
