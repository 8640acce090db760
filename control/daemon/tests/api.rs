//! The gRPC interface as a program sees it that is not vswctl.

#[path = "../../core/tests/fake/mod.rs"]
mod fake;
mod host;

use fake::{Fake, State};
use host::Host;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use vsw_api::v1::{control_client::ControlClient, *};

async fn channel(host: &Host) -> Channel {
    Endpoint::from_shared(format!("unix:{}", host.socket().display())).unwrap().connect().await.unwrap()
}

fn refusal<T: std::fmt::Debug>(reply: Result<tonic::Response<T>, Status>) -> (Code, String) {
    let status = reply.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn half_filled_messages_are_refused_in_words() {
    let mut host = Host::started();
    let mut c = ControlClient::new(channel(&host).await);
    let no_bridge = (Code::InvalidArgument, "the request has no bridge; fill it in".to_owned());
    let no = |what: &str| (Code::InvalidArgument, format!("the request has no {what}; fill it in"));
    assert_eq!(refusal(c.add_bridge(AddBridgeRequest::default()).await), no_bridge);
    assert_eq!(refusal(c.set_bridge(SetBridgeRequest::default()).await), no("bridge name"));
    assert_eq!(refusal(c.delete_bridge(DeleteBridgeRequest::default()).await), no("bridge name"));
    assert_eq!(refusal(c.add_port(AddPortRequest::default()).await), no("bridge name"));
    let half = AddPortRequest { bridge: "br0".into(), ..Default::default() };
    assert_eq!(refusal(c.add_port(half).await), no("port"));
    assert_eq!(refusal(c.set_port(SetPortRequest::default()).await), no("port name"));
    assert_eq!(refusal(c.delete_port(DeletePortRequest::default()).await), no("port name"));
    assert_eq!(refusal(c.add_station(AddStationRequest::default()).await), no("station"));
    assert_eq!(refusal(c.delete_station(DeleteStationRequest::default()).await), no("MAC address"));
    assert_eq!(refusal(c.flush_macs(FlushMacsRequest::default()).await), no("bridge name"));
    assert_eq!(refusal(c.list_macs(ListMacsRequest::default()).await), no("bridge name"));
    let empty = ShowRequest { bridge: Some(String::new()) };
    assert_eq!(refusal(c.show(empty).await), no("bridge name"));

    // Too much of it, and what terminals would obey.
    let bridge =
        |name: String| AddBridgeRequest { bridge: Some(Bridge { name, ..Default::default() }), wait: None };
    assert_eq!(refusal(c.add_bridge(bridge("x".repeat(5 << 20))).await).0, Code::OutOfRange);
    let (code, said) = refusal(c.add_bridge(bridge("x".repeat(1 << 20))).await);
    assert_eq!((code, said.len()), (Code::InvalidArgument, 2002));
    let (code, said) = refusal(c.add_bridge(bridge("a\n\u{1b}[2J".into())).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(!said.chars().any(char::is_control), "{said:?}");

    assert!(host.is_running());
    assert_eq!(c.show(ShowRequest::default()).await.unwrap().into_inner().config, Some(Config::default()));
}

#[tokio::test]
async fn names_in_questions_are_checked_before_they_are_passed_on() {
    let host = Host::started();
    let _dataplane = Fake::start(&host.run_dir(), State::default());
    let mut c = ControlClient::new(channel(&host).await);
    let bridge = |name: &str| Some(Bridge { name: name.into(), ..Default::default() });
    c.add_bridge(AddBridgeRequest { bridge: bridge("br0"), wait: None }).await.unwrap();
    let no_bridge =
        (Code::NotFound, "bridge br9: does not exist; create it with `vswctl add-br br9`".to_owned());
    let br9 = || "br9".to_owned();
    assert_eq!(
        refusal(c.list_macs(ListMacsRequest { bridge: br9(), ..Default::default() }).await),
        no_bridge
    );
    assert_eq!(
        refusal(c.flush_macs(FlushMacsRequest { bridge: br9(), ..Default::default() }).await),
        no_bridge
    );
    assert_eq!(refusal(c.show(ShowRequest { bridge: Some(br9()) }).await), no_bridge);
    let no_port = (Code::NotFound, "port zz: does not exist; see `vswctl show`".to_owned());
    assert_eq!(refusal(c.get_counters(GetCountersRequest { port: Some("zz".into()) }).await), no_port);
    let odd = ListMacsRequest { bridge: "br0".into(), vlan: Some(4095), port: None };
    let no_vlan = "bridge br0: VLAN 4095 does not exist; VLAN ids go from 1 to 4094".to_owned();
    assert_eq!(refusal(c.list_macs(odd).await), (Code::InvalidArgument, no_vlan));
}

#[tokio::test]
async fn it_tells_its_health_and_what_it_offers() {
    let host = Host::started();
    let channel = channel(&host).await;
    let service = "vsw.v1.Control".to_owned();
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest { service }).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);

    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let mut replies =
        client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        replies.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names, ["grpc.health.v1.Health", "vsw.v1.Control"]);
}
