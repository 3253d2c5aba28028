//! Changing and counting labels, which are folders here, in as few requests as there can be.

use super::api::Api;
use super::{batch, convert, wire};
use crate::error::{ErrorKind, Result};
use crate::http::{Answer, parse};
use crate::model::{Folder, FolderCounts, FolderEdit, FolderId};

/// How labels are shown unless somebody wants it otherwise: on messages, and in the list of labels.
const SHOWN: (&str, &str) = ("show", "labelShow");

/// Every label as a folder.
pub(super) async fn list(api: &Api) -> Result<Vec<Folder>> {
    Ok(convert::folders(&convert::labels(api.labels().await?)))
}

/// Changes one label, and those that lie in it where they are changed with it.
pub(super) async fn edit(api: &Api, edit: &FolderEdit) -> Result<Option<Folder>> {
    let labels = convert::labels(api.labels().await?);
    match edit {
        FolderEdit::Create {
            name,
            parent,
            color,
        } => {
            let path = convert::new_path(&labels, parent.as_ref(), name)?;
            let change = wire::LabelChange {
                name: Some(&path),
                message_list_visibility: Some(SHOWN.0),
                label_list_visibility: Some(SHOWN.1),
                color: color.as_ref().map(convert::color).transpose()?,
                ..wire::LabelChange::default()
            };
            let made = api.create_label(&change).await?;
            convert::folder(made, labels).map(Some)
        }
        FolderEdit::Rename { folder, name } => {
            let moved = convert::moved(&labels, folder, |label| {
                // What stands before its own name stays.
                let parent = convert::folders(&labels)
                    .into_iter()
                    .find(|known| known.id.as_str() == label.id)
                    .and_then(|known| known.parent);
                convert::new_path(&labels, parent.as_ref(), name)
            })?;
            rename(api, &labels, &moved).await.map(Some)
        }
        FolderEdit::Move { folder, parent } => {
            let moved = convert::moved(&labels, folder, |label| {
                let folders = convert::folders(&labels);
                let known = folders.iter().find(|known| known.id.as_str() == label.id);
                let name = known.map(|known| known.name.as_str()).unwrap_or_default();
                convert::placed(&labels, parent.as_ref(), name)
            })?;
            rename(api, &labels, &moved).await.map(Some)
        }
        FolderEdit::Color { folder, color } => {
            let [(label, path), ..] =
                &convert::moved(&labels, folder, |label| Ok(label.path.clone()))?[..]
            else {
                return Ok(None);
            };
            let color = color.as_ref().map(convert::color).transpose()?;
            let call = match color {
                Some(color) => api.patch_label(
                    &label.id,
                    &wire::LabelChange {
                        color: Some(color),
                        ..wire::LabelChange::default()
                    },
                ),
                // Only a label without a colour replaces one with a colour: null changes nothing.
                None => api.replace_label(
                    &label.id,
                    &wire::LabelChange {
                        id: Some(&label.id),
                        name: Some(path),
                        message_list_visibility: Some(
                            label.message_list_visibility.as_deref().unwrap_or(SHOWN.0),
                        ),
                        label_list_visibility: Some(
                            label.label_list_visibility.as_deref().unwrap_or(SHOWN.1),
                        ),
                        color: None,
                    },
                ),
            };
            let changed = api.client.json(call?).await?;
            convert::folder(changed, labels).map(Some)
        }
        FolderEdit::Delete(folder) => {
            let inside = convert::with_inside(&labels, folder)?;
            let calls = inside.iter().map(|label| api.delete_label(&label.id));
            for answer in batch::send(api, calls.collect()).await {
                match answer {
                    // Deleted meanwhile, which is what was asked for.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    answer => _ = answer?,
                }
            }
            Ok(None)
        }
    }
}

/// Gives these labels their new names. They are different names, so that the order does not matter.
async fn rename(
    api: &Api,
    labels: &[convert::Label],
    moved: &[(&convert::Label, String)],
) -> Result<Folder> {
    let calls = moved.iter().map(|(label, path)| {
        api.patch_label(
            &label.id,
            &wire::LabelChange {
                name: Some(path),
                ..wire::LabelChange::default()
            },
        )
    });
    let mut changed = None;
    for answer in batch::send(api, calls.collect()).await {
        let label: wire::Label = read("gmail.labels.patch", &answer?)?;
        changed.get_or_insert(label);
    }
    convert::folder(changed.unwrap_or_default(), labels.to_vec())
}

/// How many messages have each of these labels.
pub(super) async fn counts(api: &Api, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
    let calls = folders
        .iter()
        .map(|folder| api.label_counts(folder.as_str()))
        .collect();
    let answers = batch::send(api, calls).await.into_iter();
    let counts = |answer: Result<Answer>| {
        let label: wire::Label = read("gmail.labels.get", &answer?)?;
        convert::counts(&label)
    };
    Ok(answers.map(counts).collect())
}

/// The answer to a call that went through a batch.
fn read(operation: &'static str, answer: &Answer) -> Result<wire::Label> {
    parse(operation, &answer.body)
}
