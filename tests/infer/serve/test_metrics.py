"""What a server measures can be read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from infer.serve.admission import Admission
from infer.serve.metrics import Metrics


def test_values_are_given_in_prometheus_format_with_the_state_of_the_moment() -> None:
    admission = Admission(10, 100, 60)
    metrics = Metrics(admission)
    metrics.images.labels("predicted").inc(2)
    metrics.batches.observe(5)
    admission.pace.warmed_up(0.375, delay=0)
    with admission.hold_images(4), admission.hold_bytes() as held:
        held.add(70)
        families = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    samples = {sample.name: sample.value for family in families.values() for sample in family.samples}
    assert samples["lab_queue_images"] == 4
    assert samples["lab_queue_seconds"] == 1.5
    assert samples["lab_max_wait_seconds"] == 60
    assert samples["lab_request_bytes"] == 70
    assert samples["lab_images_total"] == 2
    assert samples["lab_batch_images_sum"] == 5
    assert families["lab_request_seconds"].type == "histogram"


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = (Metrics(Admission(10, 100, 60)) for _ in range(2))
    first.refused.labels("503").inc()
    assert b'lab_refused_total{status="503"} 1.0' in first.text()
    assert b"lab_refused_total{" not in second.text()


def test_of_several_servers_at_one_address_each_value_names_its_replica() -> None:
    admission = Admission(10, 100, None)
    metrics = Metrics(admission, replica="a1")
    metrics.requests.labels("/v1/predict", "200").observe(0.02)
    families = list(text_string_to_metric_families(metrics.text().decode()))
    assert all(sample.labels["replica"] == "a1" for family in families for sample in family.samples)
    with admission.hold_images(3):
        assert b'lab_queue_images{replica="a1"} 3.0' in metrics.text()
    assert b'lab_request_seconds_count{replica="a1",route="/v1/predict",status="200"} 1.0' in metrics.text()
