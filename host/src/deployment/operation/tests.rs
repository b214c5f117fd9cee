use super::*;
use crate::deployment::one_host::HostRecord;
use crate::deployment::record;

fn who(by: &str) -> Operator {
    Operator { by: by.to_owned(), now: 5 }
}

fn revision(component: &[u8], by: &str) -> RevisionRecord {
    RevisionRecord {
        component: Digest::of(component),
        bytes: component.len() as u64,
        manifest: "name = \"h\"".to_owned(),
        deployed_at: 5,
        deployed_by: by.to_owned(),
        signature: None,
    }
}

fn perform(registry: &mut Registry, operation: &Operation) -> Result<Plan, Refusal> {
    let plan = operation.plan(registry, "h", &who("ada"))?;
    for record in plan.records.clone() {
        registry.apply(record::of(record)?);
    }
    Ok(plan)
}

fn deploy(registry: &mut Registry, component: &[u8]) -> Result<Plan, Refusal> {
    let base = registry.handler("h").map_or(0, Deployed::newest);
    let new = revision(component, "ada");
    let digest = new.component;
    let plan = perform(registry, &Operation::Deploy { revision: new, base })?;
    if registry.component(&digest).is_none() {
        let stored = ComponentRecord { bytes: 1, chunks: 1, begins: 0, unused_since: None };
        registry.apply(record::Record::Component(digest, Some(stored)));
    }
    Ok(plan)
}

fn active(registry: &Registry) -> Option<u64> {
    Some(registry.handler("h")?.active()?.0)
}

#[test]
fn revisions_are_numbered_and_gone_back_to() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    deploy(&mut registry, b"two")?;
    deploy(&mut registry, b"three")?;
    assert_eq!(active(&registry), Some(3));
    perform(&mut registry, &Operation::Rollback(None))?;
    assert_eq!(active(&registry), Some(2));
    perform(&mut registry, &Operation::Rollback(Some(1)))?;
    assert_eq!(active(&registry), Some(1));
    let refused = perform(&mut registry, &Operation::Rollback(None)).unwrap_err().to_string();
    assert!(refused.contains("no revision before 1"), "{refused}");
    let refused = perform(&mut registry, &Operation::Rollback(Some(7))).unwrap_err().to_string();
    assert!(refused.contains("has no revision 7; it has 1, 2, 3"), "{refused}");
    deploy(&mut registry, b"four")?;
    assert_eq!(active(&registry), Some(4), "a number is never used twice");
    Ok(())
}

#[test]
fn who_deploys_on_top_of_something_unseen_is_told_what_came_between() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    let late = Operation::Deploy { revision: revision(b"two", "grace"), base: 0 };
    let refused = late.plan(&registry, "h", &who("grace")).unwrap_err().to_string();
    assert!(refused.contains("revision 1") && refused.contains("ada deployed it"), "{refused}");
    Ok(())
}

#[test]
fn what_is_taken_back_leaves_the_handler_as_it_was() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    perform(&mut registry, &Operation::Scale(Some(4)))?;
    perform(&mut registry, &Operation::Pause)?;
    let before = registry.handler("h").and_then(|handler| handler.deployment.clone());
    deploy(&mut registry, b"two")?;
    let take_back = Operation::TakeBack { revision: 2, before };
    let after = perform(&mut registry, &take_back)?.deployment;
    let after = after.map(|after| (after.revision, after.paused, after.workers));
    assert_eq!(after, Some((1, true, Some(4))));

    deploy(&mut registry, b"three")?;
    deploy(&mut registry, b"four")?;
    let late = Operation::TakeBack { revision: 3, before: None };
    let refused = perform(&mut registry, &late).unwrap_err().to_string();
    assert!(refused.contains("revision 4") && refused.contains("came between"), "{refused}");
    perform(&mut registry, &Operation::TakeBack { revision: 4, before: None })?;
    assert_eq!(active(&registry), None);
    Ok(())
}

#[test]
fn what_is_so_already_is_said() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    for (operation, words) in
        [(Operation::Pause, "nothing was deployed yet"), (Operation::Delete, "no handler \"h\"")]
    {
        let refused = perform(&mut registry, &operation).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    deploy(&mut registry, b"one")?;
    for (operation, words) in [
        (Operation::Resume, "is not paused"),
        (Operation::Scale(None), "as its manifest says"),
        (Operation::Rollback(Some(1)), "runs revision 1 already"),
    ] {
        let refused = perform(&mut registry, &operation).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let next = perform(&mut registry, &Operation::Pause)?.deployment;
    assert_eq!(next.map(|next| (next.paused, next.action)), Some((true, "pause".to_owned())));
    Ok(())
}

#[test]
fn a_component_is_unused_once_no_revision_refers_to_it() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    deploy(&mut registry, b"two")?;
    assert!(unused_since_before(&registry, 100).is_empty());
    perform(&mut registry, &Operation::Delete)?;
    assert_eq!(active(&registry), None);
    let unused: Vec<_> = unused_since_before(&registry, 100).into_iter().map(|u| u.0).collect();
    let mut both = [Digest::of(b"one"), Digest::of(b"two")];
    both.sort_unstable();
    assert_eq!(unused, both);
    assert!(unused_since_before(&registry, 5).is_empty(), "not before its time is over");
    deploy(&mut registry, b"one")?;
    assert_eq!(active(&registry), Some(3), "numbers go on after a deletion");
    let unused: Vec<_> = unused_since_before(&registry, 100).into_iter().map(|u| u.0).collect();
    assert_eq!(unused, [Digest::of(b"two")]);
    Ok(())
}

#[test]
fn old_revisions_go_and_the_active_one_stays() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    for number in 0..KEPT_REVISIONS as u8 {
        deploy(&mut registry, &[number])?;
    }
    perform(&mut registry, &Operation::Rollback(Some(1)))?;
    deploy(&mut registry, b"new")?;
    let kept: Vec<_> =
        registry.handler("h").map_or(vec![], |h| h.revisions.keys().copied().collect());
    assert_eq!(kept.len(), KEPT_REVISIONS);
    assert!(kept.contains(&1) && !kept.contains(&2), "{kept:?}");
    Ok(())
}

fn faulty(revision: u64) -> Operation {
    Operation::RollbackFaulty { revision, reason: "5 faults in a row".to_owned() }
}

#[test]
fn a_faulty_revision_is_rolled_back_once_to_the_one_that_it_replaced() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    deploy(&mut registry, b"two")?;
    perform(&mut registry, &Operation::Rollback(Some(1)))?;
    deploy(&mut registry, b"three")?;
    perform(&mut registry, &Operation::Scale(Some(2)))?;
    let after = perform(&mut registry, &faulty(3))?.deployment;
    let after = after.expect("it still runs");
    assert_eq!((after.revision, after.workers), (1, Some(2)), "not to 2, which 3 did not replace");
    let said = after.rolled_back().map(ToString::to_string);
    assert_eq!(said.as_deref(), Some("revision 3 was rolled back to 1 by ada: 5 faults in a row"));

    // The second host that sees it is late.
    let late = perform(&mut registry, &faulty(3)).unwrap_err();
    assert!(matches!(late, Refusal::CameBetween { revision: 1, .. }), "{late}");
    let refused = perform(&mut registry, &faulty(1)).unwrap_err();
    assert!(matches!(refused, Refusal::GoneBackTo { revision: 1, .. }), "{refused}");

    // Why is still known when the next one is deployed, and nothing holds for that one.
    deploy(&mut registry, b"four")?;
    let record = registry.handler("h").and_then(|handler| handler.deployment.clone());
    let record = record.expect("it runs");
    assert_eq!((record.rolled_back(), record.replaced), (None, Some(1)));
    assert_eq!(record.rollback_of(3).map(|rollback| rollback.to), Some(1));
    Ok(())
}

#[test]
fn a_first_revision_has_nothing_to_be_rolled_back_to() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    let refused = perform(&mut registry, &faulty(1)).unwrap_err();
    assert!(matches!(refused, Refusal::NothingBefore { revision: 1, .. }), "{refused}");
    Ok(())
}

#[test]
fn what_was_deployed_and_is_active_again_after_a_take_back_can_be_rolled_back()
-> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    deploy(&mut registry, b"two")?;
    let before = registry.handler("h").and_then(|handler| handler.deployment.clone());
    deploy(&mut registry, b"three")?;
    perform(&mut registry, &Operation::TakeBack { revision: 3, before })?;
    perform(&mut registry, &faulty(2))?;
    assert_eq!(active(&registry), Some(1));
    Ok(())
}

#[test]
fn what_is_done_on_one_host_is_seen_there_alone_until_it_is_done_on_all() -> Result<(), Refusal> {
    let mut registry = Registry::default();
    deploy(&mut registry, b"one")?;
    let on = |what: HostOperation| what.on(Some("host-2".to_owned()));
    perform(&mut registry, &on(HostOperation::Pause))?;
    perform(&mut registry, &on(HostOperation::Restart))?;
    let next = perform(&mut registry, &on(HostOperation::Scale(Some(4))))?.deployment;
    let next = next.unwrap_or_else(|| unreachable!("it is deployed"));
    let (here, there) = (next.on("host-1"), next.on("host-2"));
    assert_eq!((here.paused, here.workers, here.restarts), (false, None, 0));
    assert_eq!((there.paused, there.workers, there.restarts), (true, Some(4), 1));
    let again = perform(&mut registry, &on(HostOperation::Pause)).map(drop);
    assert!(again.is_err_and(|refusal| refusal.to_string().contains("on host \"host-2\" already")));

    perform(&mut registry, &Operation::Resume)?;
    let next = perform(&mut registry, &Operation::Scale(Some(2)))?.deployment;
    let there = next.map(|next| next.on("host-2"));
    let there = there.map(|there| (there.paused, there.workers, there.restarts));
    assert_eq!(there, Some((false, Some(2), 1)));
    // Fewer restarts than before would be a restart.
    perform(&mut registry, &on(HostOperation::Pause))?;
    let next = deploy(&mut registry, b"two")?.deployment;
    let one = next.and_then(|next| next.hosts.get("host-2").cloned());
    assert_eq!(one, Some(HostRecord { restarts: 1, ..HostRecord::default() }));
    Ok(())
}
