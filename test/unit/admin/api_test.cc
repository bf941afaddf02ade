#include "admin/api.h"

#include <doctest/doctest.h>

using namespace shoal;
using namespace shoal::admin;

TEST_CASE("members come back as they went, with tags in their order") {
  std::vector<Member> sent(2);
  sent[0] = {"web-1", "10.0.0.1", 7946, "alive", {{"role", "task"}, {"a", "\x1b[31m"}}, 310, {1, 5, 2}, {2, 5, 4}};
  sent[1].name = "web-2";
  CHECK(to_json(sent).find(
            R"({"members":[{"name":"web-1","addr":"10.0.0.1","port":7946,"status":"alive","tags":{"role":"task",)"
            R"("a":"\u001b[31m"},"rtt_us":310,"versions":{"protocol":{"min":1,"max":5,"current":2},)"
            R"("delegate":{"min":2,"max":5,"current":4}}})") == 0);
  std::vector<Member> back;
  REQUIRE(from_json(to_json(sent), back));
  REQUIRE(back.size() == 2);
  CHECK(back[0].name == "web-1");
  CHECK(back[0].addr == "10.0.0.1");
  CHECK(back[0].port == 7946);
  CHECK(back[0].status == "alive");
  CHECK(back[0].tags == sent[0].tags);
  CHECK(back[0].rtt_us == 310U);
  CHECK_FALSE(back[1].rtt_us.has_value());
  CHECK(back[0].protocol.max == 5);
  CHECK(back[0].delegate.min == 2);
  CHECK(back[0].delegate.current == 4);
  CHECK(back[1].name == "web-2");
  back.clear();
  CHECK(from_json(R"({"members":[]})", back));
  CHECK(back.empty());
  CHECK_FALSE(from_json("{}", back));
  CHECK_FALSE(from_json(R"({"members":[{"port":70000}]})", back));
}

TEST_CASE("keys come back as they went, and an answer is complete when everybody gave a good one") {
  KeysAnswer sent;
  sent.keys = {{"AAA=", 3, 2}, {"BBB=", 1, 0}};
  sent.nodes = 3;
  sent.answered = 3;
  CHECK(sent.complete());
  sent.answered = 2;
  CHECK_FALSE(sent.complete());
  sent.answered = 3;
  sent.errors = {{"web-2", "no such key"}};
  CHECK_FALSE(sent.complete());
  CHECK(to_json(sent) ==
        R"({"keys":[{"key":"AAA=","nodes":3,"primary_nodes":2},{"key":"BBB=","nodes":1,"primary_nodes":0}],)"
        R"("nodes":3,"answered":3,"errors":[{"node":"web-2","message":"no such key"}]})");
  KeysAnswer back;
  REQUIRE(from_json(to_json(sent), back));
  REQUIRE(back.keys.size() == 2);
  CHECK(back.keys[0].key == "AAA=");
  CHECK(back.keys[0].primary_nodes == 2);
  CHECK(back.keys[1].nodes == 1);
  CHECK(back.nodes == 3);
  CHECK(back.answered == 3);
  REQUIRE(back.errors.size() == 1);
  CHECK(back.errors[0].node == "web-2");
  CHECK(back.errors[0].message == "no such key");
  CHECK_FALSE(from_json("{}", back));  // Without counts it would look complete.
}

TEST_CASE("an answer may have members that its reader does not know, a request may not") {
  KeysAnswer keys;
  CHECK(from_json(R"({"nodes":3,"later":{"a":[1]}})", keys));
  CHECK(keys.nodes == 3);
  ForceLeaveRequest leave;
  CHECK(read_request(R"({"name":"x","prun":true})", leave) == R"(the request has no member "prun")");
}

TEST_CASE("requests come back as they went") {
  KeyRequest key;
  CHECK(read_request(to_json(KeyRequest{"AAA="}), key).empty());
  CHECK(key.key == "AAA=");
  ForceLeaveRequest leave;
  CHECK(read_request(to_json(ForceLeaveRequest{"web-1", true}), leave).empty());
  CHECK(leave.name == "web-1");
  CHECK(leave.prune);
  EventRequest event;
  const std::string bytes("\xff\x00\x01 a", 5);
  CHECK(read_request(to_json(EventRequest{"deploy", bytes, true}), event).empty());
  CHECK(event.name == "deploy");
  CHECK(event.payload == bytes);
  CHECK(event.coalesce);
  CHECK(to_json(EventRequest{"deploy", "v1.2", false}) == R"({"name":"deploy","payload":"v1.2","coalesce":false})");
  SteerRequest steer;
  CHECK(read_request(to_json(SteerRequest{"web-1", "maint", true}), steer).empty());
  CHECK(steer.name == "web-1");
  CHECK(steer.wish == "maint");
  CHECK(steer.stop);
}

TEST_CASE("a request that is none is refused in words") {
  KeyRequest key;
  EventRequest event;
  ForceLeaveRequest leave;
  for (const char* bad : {"", "{", "[]", "{} x", R"({"key":1})", "null"}) CHECK_FALSE(read_request(bad, key).empty());
  CHECK(read_request("{}", key) == "the request names no key");
  CHECK(read_request(R"({"name":""})", event) == "the request names no event");
  CHECK(read_request(R"({"name":"x","payload_base64":"="})", event) == "payload_base64 is no base64");
  CHECK(read_request("{}", leave) == "the request names no member");
  CHECK_FALSE(read_request(R"({"name":"x","prune":"yes"})", leave).empty());
}

TEST_CASE("the reason of a failed answer is found, or not") {
  CHECK(error_from_json(error_json("no \"x\"")) == "no \"x\"");
  CHECK_FALSE(error_from_json("{}").has_value());
  CHECK_FALSE(error_from_json("<html>").has_value());
}
