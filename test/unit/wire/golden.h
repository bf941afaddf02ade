// Golden vectors of the gossip protocol: bytes made by the Go libraries' own encoders (go-msgpack 2.1.5, "codec 2.x",
// and 0.5.5 where that differs) and accepted by real agents. Whole messages with their type byte unless said otherwise;
// "SF" ones start with the serf type byte.
#pragma once

#include <string_view>

namespace shoal::wire {

struct Golden {
  std::string_view id;
  std::string_view what;
  std::string_view hex;
};

// clang-format off
inline constexpr Golden kGolden[] = {
    {"G01", "ping {SeqNo 1, Node \"b\"}",
     "0082a44e6f6465a162a55365714e6f01"},
    {"G02", "ping {300, \"node-b\", Source 127.0.0.1:7946 \"node-a\"}",
     "0085a44e6f6465a66e6f64652d62a55365714e6fcd012caa536f7572636541646472a47f000001aa536f757263654e6f6465"
     "a66e6f64652d61aa536f75726365506f7274cd1f0a"},
    {"G03", "indirectPing {70000, 10.0.0.2:7946 \"node-b\", Nack, Source as G02}",
     "0188a44e61636bc3a44e6f6465a66e6f64652d62a4506f7274cd1f0aa55365714e6fce00011170aa536f7572636541646472"
     "a47f000001aa536f757263654e6f6465a66e6f64652d61aa536f75726365506f7274cd1f0aa6546172676574a40a000002"},
    {"G04", "nack {65535}",
     "0b81a55365714e6fcdffff"},
    {"G05", "ack {1, payload nil}",
     "0282a75061796c6f6164c0a55365714e6f01"},
    {"G06", "ack {1, payload empty}",
     "0282a75061796c6f6164a0a55365714e6f01"},
    {"G07", "ping payload: coordinate at origin (put into an ack as Payload)",
     "0184aa41646a7573746d656e74cb0000000000000000a54572726f72cb3ff8000000000000a6486569676874cb3ee4f8b588"
     "e368f1a356656398cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000"
     "000000cb0000000000000000cb0000000000000000cb0000000000000000"},
    {"G08", "err, text = 40 × \"x\" (raw16, no str8)",
     "0d81a54572726f72da0028787878787878787878787878787878787878787878787878787878787878787878787878787878"
     "78"},
    {"G09", "alive {1, \"node-b\", 127.0.0.1:7946, Meta FF 80, Vsn}",
     "0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a66e6f64652d62a4506f7274"
     "cd1f0aa356736ea6010502020504"},
    {"G10", "same, Meta nil",
     "0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a66e6f64652d62a4506f7274cd1f"
     "0aa356736ea6010502020504"},
    {"G11", "suspect {inc 2^32−1, \"node-b\" from \"node-a\"}",
     "0383a446726f6da66e6f64652d61ab496e6361726e6174696f6eceffffffffa44e6f6465a66e6f64652d62"},
    {"G12", "dead {2, \"node-b\" from \"node-b\"} = left",
     "0583a446726f6da66e6f64652d62ab496e6361726e6174696f6e02a44e6f6465a66e6f64652d62"},
    {"G13a", "pushPull header {2 nodes, 200 bytes, join}, codec 2.x",
     "0683a44a6f696ec3a54e6f64657302ac5573657253746174654c656ed100c8"},
    {"G13b", "same, codec 0.5.5",
     "0683a44a6f696ec3a54e6f64657302ac5573657253746174654c656eccc8"},
    {"G13c", "node state {\"n\", left, inc 3, Meta nil} (follows the header)",
     "87a441646472a47f000001ab496e6361726e6174696f6e03a44d657461c0a44e616d65a16ea4506f7274cd1f0aa553746174"
     "6503a356736ea6010502020504"},
    {"G14a", "SF query, codec 2.x",
     "048ba441646472a47f000001a746696c7465727391b50182a445787072a47461736ba3546167a4726f6c65a5466c61677301"
     "a24944ce7fffffffa54c54696d6504a44e616d65a7736f6c69636974a75061796c6f6164c0a4506f7274cd1f0aab52656c61"
     "79466163746f7202aa536f757263654e6f6465a26e31a754696d656f7574d300000000bebc2000"},
    {"G14b", "the same, codec 0.5.5",
     "048ba441646472a47f000001a746696c7465727391b50182a445787072a47461736ba3546167a4726f6c65a5466c61677301"
     "a24944ce7fffffffa54c54696d6504a44e616d65a7736f6c69636974a75061796c6f6164c0a4506f7274cd1f0aab52656c61"
     "79466163746f7202aa536f757263654e6f6465a26e31a754696d656f7574cebebc2000"},
    {"G15", "SF response {4, ID 1, \"n2\", \"ok\"}",
     "0585a5466c61677300a446726f6da26e32a2494401a54c54696d6504a75061796c6f6164a26f6b"},
    {"G16", "SF ack {4, ID 1, \"n2\"}",
     "0585a5466c61677301a446726f6da26e32a2494401a54c54696d6504a75061796c6f6164c0"},
    {"G17", "compound of G02 and a user part  (layout only)",
     "0702004700030085a44e6f6465a66e6f64652d62a55365714e6fcd012caa536f7572636541646472a47f000001aa536f7572"
     "63654e6f6465a66e6f64652d61aa536f75726365506f7274cd1f0a080102"},
    {"G18a", "SF relay of G15 to 127.0.0.1:7946 \"n1\", codec 2.x",
     "0982a8446573744164647283a24950a47f000001a4506f7274d11f0aa45a6f6e65a0a8446573744e616d65a26e310585a546"
     "6c61677300a446726f6da26e32a2494401a54c54696d6504a75061796c6f6164a26f6b"},
    {"G18b", "the same, codec 0.5.5",
     "0982a8446573744164647283a24950a47f000001a4506f7274cd1f0aa45a6f6e65a0a8446573744e616d65a26e310585a546"
     "6c61677300a446726f6da26e32a2494401a54c54696d6504a75061796c6f6164a26f6b"},
    {"G19", "compress message of G02 (longer than G02, so only TCP would send it)",
     "0982a4416c676f00a3427566da004300011422e5e40d9932a6dc182cd3424ca92965e2146c168085aa296feac81953260819"
     "327248fd010020c0c58c1bcb143c9870618b3027357284f2460e9d661f140404"},
    {"G20", "CRC + G01",
     "0c04c039bb0082a44e6f6465a162a55365714e6f01"},
    {"G21a", "TCP user header {130}, codec 2.x",
     "0881aa557365724d73674c656ed10082"},
    {"G21b", "the same, codec 0.5.5",
     "0881aa557365724d73674c656ecc82"},
    {"G22", "LZW of \"\" (decode only)",
     "000302"},
    {"G23", "LZW of \"a\"",
     "00c30404"},
    {"G24", "LZW of 10 × \"a\"",
     "00c3081c483020"},
    {"G25", "LZW of 8 × \"ab\"",
     "00c388114870a0c1820101"},
    {"G30", "Meta for {role: task}",
     "ff81a4726f6c65a47461736b"},
    {"G31", "Meta for no tags",
     "ff80"},
    {"G32", "SF pushPull {7, {n1:1}, left [n2], event clock 3, Events [nil, {2: e/\"p\", f/nil}], query clock 4}",
     "0286aa4576656e744c54696d6503a64576656e747392c082a64576656e74739282a44e616d65a165a75061796c6f6164a170"
     "82a44e616d65a166a75061796c6f6164c0a54c54696d6502a54c54696d6507ab4c6566744d656d6265727391a26e32aa5175"
     "6572794c54696d6504ac5374617475734c54696d657381a26e3101"},
    {"G34a", "filter blob: nodes [a,b]",
     "0092a161a162"},
    {"G34b", "filter blob: tag role~task",
     "0182a445787072a47461736ba3546167a4726f6c65"},
    {"G35a", "SF leave {5, n1, prune}",
     "0083a54c54696d6505a44e6f6465a26e31a55072756e65c3"},
    {"G35b", "SF join {300, n1}",
     "0182a54c54696d65cd012ca44e6f6465a26e31"},
    {"G35c", "SF event {9, deploy, \"v1\", CC}",
     "0384a24343c3a54c54696d6509a44e616d65a66465706c6f79a75061796c6f6164a27631"},
};
// clang-format on

constexpr std::string_view golden(std::string_view id) {
  for (const Golden& vector : kGolden) {
    if (vector.id == id) return vector.hex;
  }
  return {};
}

}  // namespace shoal::wire
